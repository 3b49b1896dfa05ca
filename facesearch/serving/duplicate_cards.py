"""Proposals of duplicates -> cards: what stands side by side, as the gallery holds it now.

People change after a proposal was found, here and in other programs. A card remembers what it was
found with, and its view shows what the gallery holds now.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from facesearch.duplicates.enrolled import EnrolledFace, FaceTwice, PerhapsOne, PerhapsTwo
from facesearch.duplicates.photos import PhotoGroup, unchanged
from facesearch.errors import UnknownPerson
from facesearch.gallery import Gallery
from facesearch.storage.rows import KnownFace

FaceIds = tuple[tuple[int, ...], ...]  # a side each: ids of its faces, then minus the others' count
Proposal = PerhapsOne | PerhapsTwo | FaceTwice | PhotoGroup


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a card: a person, part of a person's faces, or one copy of a face."""

    name: str
    person: int
    faces: tuple[KnownFace, ...]
    paths: tuple[str | None, ...]  # of the faces' photos, None where the gallery has none
    n_others: int = 0  # faces of the person that are not among `faces`


@dataclass(frozen=True, slots=True)
class Card:
    """A proposal with a number, and what it was about when it was found."""

    id: int
    proposal: Proposal
    ids: tuple[int, ...] = ()  # of the people, or of the faces, side by side
    faces: FaceIds = ()


@dataclass(frozen=True, slots=True)
class CardView:
    """A card as the gallery holds it now."""

    card: Card
    sides: tuple[Side, ...] = ()  # two, or none of photos
    probability: float = 0.0  # of PerhapsOne and PerhapsTwo
    changed: bool = False  # since it was found, so that the probability is another one
    doubtful: tuple[str, ...] = ()  # names on the card that may themselves cover two people

    @property
    def default_side(self) -> int:
        """Return the side to keep unless the user selects the other one.

        That is the side with more faces, or the larger of two copies of a face.
        """
        first, second = self.sides
        if isinstance(self.card.proposal, FaceTwice):
            heights = [side.faces[0].box[3] - side.faces[0].box[1] for side in self.sides]
            return int(heights[1] > heights[0])
        return int(len(second.faces) > len(first.faces))

    @property
    def stamp(self) -> str:
        """Return a hash of everything shown, so that nothing else can be decided."""
        shown = [(side.person, side.name) for side in self.sides], face_ids(self.sides)
        return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


def new_card(gallery: Gallery, number: int, proposal: Proposal) -> Card | None:
    """Return the card of a proposal, None if a person or face in it is already gone."""
    card = Card(number, proposal, ids_of(gallery, proposal))
    if isinstance(proposal, PhotoGroup):
        return card
    sides = sides_of(gallery, card)
    return replace(card, faces=face_ids(sides)) if sides else None


def view_of(gallery: Gallery, card: Card, doubtful: Collection[str]) -> CardView | None:
    """Return a card as it is now, None if there is nothing left to decide.

    `doubtful` holds the names that may cover two people.
    """
    proposal = card.proposal
    if isinstance(proposal, PhotoGroup):
        files = [proposal.keeper, *(twin.file for twin in proposal.duplicates)]
        return CardView(card) if all(map(unchanged, files)) else None
    sides = sides_of(gallery, card)
    if not sides:
        return None
    if isinstance(proposal, FaceTwice):
        return CardView(card, sides)
    changed = face_ids(sides) != card.faces
    if isinstance(proposal, PerhapsTwo):
        return None if changed else CardView(card, sides, proposal.probability)
    names = [side.name for side in sides]
    alike = {one.person: one for one in gallery.duplicates.look_alikes(names[0], names[1:])}.get(
        names[1]
    )
    if alike is None or alike.apart:  # just gone, or known to be two people
        return None
    probability = alike.probability if changed else proposal.probability
    return CardView(card, sides, probability, changed, tuple(n for n in names if n in doubtful))


def ids_of(gallery: Gallery, proposal: Proposal) -> tuple[int, ...]:
    """Return the ids of the people, or of the faces, that a proposal is about."""
    if isinstance(proposal, PhotoGroup):
        return ()
    if isinstance(proposal, FaceTwice):
        return tuple(face.id for face in proposal.faces)
    names = proposal.people if isinstance(proposal, PerhapsOne) else [proposal.person]
    try:
        return tuple(gallery.people.id_of(name) for name in names)
    except UnknownPerson:
        return ()


def sides_of(gallery: Gallery, card: Card) -> tuple[Side, ...]:
    """Return both sides of a card as the gallery holds them, none if a person or face is gone."""
    if isinstance(card.proposal, FaceTwice):
        found = [gallery.faces.get(face) for face in card.ids]
        if not all(found):
            return ()
        return tuple(copy_side(gallery, path, face) for path, face in filter(None, found))
    called = gallery.people.names_of(card.ids)
    names = [called[person] for person in card.ids if person in called]
    if not names or len(names) < len(card.ids):
        return ()
    if isinstance(card.proposal, PerhapsOne):
        sides = [person_side(gallery, name) for name in names]
        return tuple(sides) if all(side.faces for side in sides) else ()
    assert isinstance(card.proposal, PerhapsTwo)
    person = person_side(gallery, names[0])
    return tuple(camp_side(person, camp) for camp in card.proposal.camps)


def copy_side(gallery: Gallery, path: str | None, face: KnownFace) -> Side:
    """Return one enrolled face."""
    n_others = len(gallery.people.faces_of(face.person)) - 1
    return Side(face.person, face.person_id, (face,), (path,), n_others)


def person_side(gallery: Gallery, name: str) -> Side:
    """Return a person with all faces."""
    faces = gallery.people.faces_of(name)
    paths = tuple(path for path, _ in faces)
    return Side(name, gallery.people.id_of(name), tuple(face for _, face in faces), paths)


def camp_side(person: Side, camp: Sequence[EnrolledFace]) -> Side:
    """Return the part of a person's faces that is in a camp."""
    ids = {face.id for face in camp}
    pairs = [
        (face, path)
        for face, path in zip(person.faces, person.paths, strict=True)
        if face.id in ids
    ]
    faces, paths = tuple(face for face, _ in pairs), tuple(path for _, path in pairs)
    return replace(person, faces=faces, paths=paths, n_others=len(person.faces) - len(faces))


def face_ids(sides: Sequence[Side]) -> FaceIds:
    """Return which faces stand side by side, and how many others their people have."""
    return tuple((*(face.id for face in side.faces), -side.n_others) for side in sides)
