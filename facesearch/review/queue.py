"""Faces that no human decided about -> the queue in which a human is asked, what tells most first.

A face waits alone, or with its group: one answer names all of that. Who it may be is the machine's
answer, the best first, and is asked for anew when its turn comes: answers change it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from facesearch.identification import IdentifiedFace, Seen
from facesearch.review.groups import Unnamed, UnnamedFace

DOUBT = 0.1  # of which every tenth answer of the machine is wrong: that is asked for first
ASKED_FROM = 0.1  # probability; below, nobody is asked "is it Ada?": a yes would be an accident
PROPOSED_FROM = 0.01  # probability; below, a name would only distract
PROPOSED = 9  # people at most: a key each
ASKED_ANEW = 12  # faces of a group, the most typical, who say together who it may be


@dataclass(frozen=True, slots=True)
class Proposal:
    """A person who a waiting face may be."""

    person: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """One face, or the faces of a group, of whom no human said who they are."""

    faces: tuple[UnnamedFace, ...]  # most typical first
    seen: tuple[Seen, ...]  # of each face all of its photo, without crops
    group: int | None  # its number, see UnnamedGroup; None of one face alone
    proposals: tuple[Proposal, ...]  # most probable first
    unknown_probability: float

    @property
    def n_askable(self) -> int:
        """How many of the proposals are probable enough to ask if it is that person."""
        return sum(proposal.probability >= ASKED_FROM for proposal in self.proposals)

    @property
    def doubt(self) -> float:
        """How probable it is that the likeliest answer is wrong, from 0."""
        likeliest = [proposal.probability for proposal in self.proposals[:1]]
        return 1.0 - max([self.unknown_probability, *likeliest])


@dataclass(frozen=True, slots=True)
class Review:
    """All faces on some photos that no human decided about."""

    unnamed: Unnamed
    waiting: tuple[Waiting, ...]  # see `most_telling_first`


def waiting_face(face: UnnamedFace, seen: Seen, identified: IdentifiedFace) -> Waiting:
    """Return a face that waits alone; `identified` is what the machine says of it."""
    proposals = tuple(
        Proposal(candidate.person, candidate.probability)
        for candidate in identified.candidates[:PROPOSED]
        if candidate.probability >= PROPOSED_FROM
    )
    return Waiting((face,), (seen,), None, proposals, identified.unknown_probability)


def joined(waiting: Sequence[Waiting], group: int | None) -> Waiting:
    """Return faces that wait together; of each answer the mean of their probabilities counts."""
    if len(waiting) == 1:
        return waiting[0]
    people = {proposal.person for one in waiting for proposal in one.proposals}
    of_each = [{p.person: p.probability for p in one.proposals} for one in waiting]
    means = [(sum(of.get(who, 0.0) for of in of_each) / len(waiting), who) for who in people]
    proposals = tuple(
        Proposal(who, mean)
        for mean, who in sorted(means, key=lambda pair: (-pair[0], pair[1]))[:PROPOSED]
        if mean >= PROPOSED_FROM
    )
    return Waiting(
        tuple(face for one in waiting for face in one.faces),
        tuple(seen for one in waiting for seen in one.seen),
        group,
        proposals,
        sum(one.unknown_probability for one in waiting) / len(waiting),
    )


def most_telling_first(waiting: Iterable[Waiting]) -> tuple[Waiting, ...]:
    """Return those first whose likeliest answer has less than 90 %, the most doubtful foremost.

    Then groups, the largest first: one answer names many; then all others, again by doubt.
    """

    def place(one: Waiting) -> tuple[int, int, float]:
        if one.doubt > DOUBT:
            return 0, 0, -one.doubt
        return (1, -len(one.faces), -one.doubt) if len(one.faces) > 1 else (2, 0, -one.doubt)

    return tuple(sorted(waiting, key=place))
