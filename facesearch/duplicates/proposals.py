"""People who may be one and names that may be two people's -> which merges are safe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facesearch.duplicates.same_person import expected_wrong

if TYPE_CHECKING:
    from facesearch.duplicates.enrolled import EnrolledTwice, PerhapsTwo, ProbablyOne

AT_LEAST = 0.5  # the smallest probability of a proposal, unless another one is asked for
SURE = 0.95  # summaries also say how many proposals are at least this probable
DOUBTFUL = 0.5  # from this probability of being two people's a name is merged with no other


@dataclass(frozen=True, slots=True)
class PeopleProposals:
    """The people of a gallery who may be one person, and the names that may be two people's."""

    twice: "EnrolledTwice"
    two_in_one: tuple["PerhapsTwo", ...]  # of `at_least` that probability
    at_least: float
    doubtful: frozenset[str]  # names that are two people's with a probability of DOUBTFUL or more

    @classmethod
    def of(
        cls, twice: "EnrolledTwice", two_in_one: Sequence["PerhapsTwo"], at_least: float
    ) -> "PeopleProposals":
        """Return the proposals; `two_in_one` has every name from min(at_least, DOUBTFUL) on."""
        return cls(
            twice,
            tuple(two for two in two_in_one if two.probability >= at_least),
            at_least,
            frozenset(two.person for two in two_in_one if two.probability >= DOUBTFUL),
        )

    def is_sure(self, group: "ProbablyOne") -> bool:
        """Return whether merging `group` would bring no third person along."""
        return self.doubtful.isdisjoint((group.keep, *group.others))

    @property
    def sure_groups(self) -> tuple["ProbablyOne", ...]:
        """The groups that can be merged as they are."""
        return tuple(group for group in self.twice.groups if self.is_sure(group))

    @property
    def expected_wrong(self) -> float:
        """How many of the groups are expected to be wrong."""
        return expected_wrong([group.probability for group in self.twice.groups], 0)
