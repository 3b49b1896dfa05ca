"""Faces that no human has decided about -> the queue in which to ask, most informative first.

A face waits alone or with its group, which one answer names. Proposals are the machine's answer,
most probable first; they are computed again when a face's turn comes, since answers change them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from facesearch.identification import IdentifiedFace, Seen
from facesearch.review.groups import Unnamed, UnnamedFace

DOUBT = 0.1  # where the likeliest answer is wrong more often than this, ask first
ASKED_FROM = 0.1  # probability; below it "is it Ada?" is not asked: a yes would be an accident
PROPOSED_FROM = 0.01  # probability; below it a name would only distract
MAX_PROPOSED = 9  # people: one key each
REPROPOSED_FACES = 12  # most typical faces of a group from which its proposals are recomputed


@dataclass(frozen=True, slots=True)
class Proposal:
    """A person a waiting face may be."""

    person: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """One face, or the faces of a group, that no human has decided about."""

    faces: tuple[UnnamedFace, ...]  # most typical first
    seen: tuple[Seen, ...]  # for each face, everything seen in its photo, without crops
    group: int | None  # id of the UnnamedGroup; None for a single face
    proposals: tuple[Proposal, ...]  # most probable first
    unknown_probability: float

    @property
    def n_askable(self) -> int:
        """How many of the proposals are probable enough to ask about."""
        return sum(proposal.probability >= ASKED_FROM for proposal in self.proposals)

    @property
    def doubt(self) -> float:
        """The probability that the likeliest answer is wrong."""
        likeliest = [proposal.probability for proposal in self.proposals[:1]]
        return 1.0 - max([self.unknown_probability, *likeliest])


@dataclass(frozen=True, slots=True)
class Review:
    """All faces in some photos that no human has decided about."""

    unnamed: Unnamed
    waiting: tuple[Waiting, ...]  # in the order of `most_informative_first`


def waiting_face(face: UnnamedFace, seen: Seen, identified: IdentifiedFace) -> Waiting:
    """Return a face that waits alone; `identified` is the machine's answer."""
    proposals = tuple(
        Proposal(candidate.person, candidate.probability)
        for candidate in identified.candidates[:MAX_PROPOSED]
        if candidate.probability >= PROPOSED_FROM
    )
    return Waiting((face,), (seen,), None, proposals, identified.unknown_probability)


def joined(waiting: Sequence[Waiting], group: int | None) -> Waiting:
    """Return faces that wait together; each person has the mean of the faces' probabilities."""
    if len(waiting) == 1:
        return waiting[0]
    people = {proposal.person for one in waiting for proposal in one.proposals}
    of_each = [{p.person: p.probability for p in one.proposals} for one in waiting]
    means = [(sum(of.get(who, 0.0) for of in of_each) / len(waiting), who) for who in people]
    proposals = tuple(
        Proposal(who, mean)
        for mean, who in sorted(means, key=lambda pair: (-pair[0], pair[1]))[:MAX_PROPOSED]
        if mean >= PROPOSED_FROM
    )
    return Waiting(
        tuple(face for one in waiting for face in one.faces),
        tuple(seen for one in waiting for seen in one.seen),
        group,
        proposals,
        sum(one.unknown_probability for one in waiting) / len(waiting),
    )


def most_informative_first(waiting: Iterable[Waiting]) -> tuple[Waiting, ...]:
    """Return those in doubt (DOUBT) first, most doubtful first; then groups, largest first.

    One answer names a whole group. All others come last, again by doubt.
    """

    def place(one: Waiting) -> tuple[int, int, float]:
        if one.doubt > DOUBT:
            return 0, 0, -one.doubt
        return (1, -len(one.faces), -one.doubt) if len(one.faces) > 1 else (2, 0, -one.doubt)

    return tuple(sorted(waiting, key=place))
