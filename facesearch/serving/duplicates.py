"""A gallery, and folders named on the command line -> what is there twice, a card each.

What is there twice is found in a thread and with a gallery of its own: it may take minutes, and the
page answers meanwhile. People go on to be changed, here and by other programs; so a card is shown
with what the gallery holds now, and what is decided on it counts only for what was shown.
"""

import hashlib
import threading
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from facesearch.curation import Decision
from facesearch.duplicates import trash
from facesearch.duplicates.enrolled import EnrolledFace, FaceTwice, PerhapsOne, PerhapsTwo
from facesearch.duplicates.photos import PhotoGroup, find_duplicates, unchanged
from facesearch.duplicates.same_person import expected_wrong
from facesearch.errors import FacesearchError, Refused, UnknownPerson
from facesearch.gallery import Gallery
from facesearch.storage.rows import KnownFace

KINDS = ("people", "names", "faces", "photos")
AT_LEAST = 0.5  # people are proposed from this probability, as `facesearch dedupe` does
SURE = 0.95  # how many proposals are at least this probable is told beside all
LEAVE_S = 2.0  # how long the end waits for the thread, of which only kept work would be lost

Faces = tuple[tuple[int, ...], ...]  # ids of the faces of each side, and how many are left out
Proposal = PerhapsOne | PerhapsTwo | FaceTwice | PhotoGroup


@dataclass(frozen=True, slots=True)
class Side:
    """What stands on one side of a question: a person, a camp of one, or a copy of a face."""

    name: str
    person: int
    faces: tuple[KnownFace, ...]
    paths: tuple[str | None, ...]  # of their photos, None where nobody knows
    n_left: int = 0  # faces of the person that are not among these


@dataclass(frozen=True, slots=True)
class Card:
    """A proposal with a number, and what it was about when it was found."""

    id: int
    what: Proposal
    ids: tuple[int, ...] = ()  # of the people or of the faces, side by side
    faces: Faces = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """A card as it is shown now."""

    card: Card
    sides: tuple[Side, ...]
    probability: float  # of PerhapsOne and PerhapsTwo
    changed: bool  # since it was found, so that the probability is another one
    doubtful: tuple[str, ...]  # names of the two that may be two people's themselves

    @property
    def stays(self) -> int:
        """Which side stays unless another is chosen: that of most faces, or the larger face."""
        first, second = self.sides
        if isinstance(self.card.what, FaceTwice):
            heights = [side.faces[0].box[3] - side.faces[0].box[1] for side in self.sides]
            return int(heights[1] > heights[0])
        return int(len(second.faces) > len(first.faces))

    @property
    def stamp(self) -> str:
        """What names all that is shown, so that nothing else is decided."""
        shown = [(side.person, side.name) for side in self.sides], faces_on(self.sides)
        return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


class Duplicates:
    """What is there twice, as far as it is found and not decided yet."""

    def __init__(self, gallery: Gallery, folders: Sequence[Path]) -> None:
        self._path = gallery.path
        self._model = gallery.model
        self._cache = gallery.index_folder / "photos.cache"
        self.folders = folders
        self.trash = folders[0].resolve().parent / trash.DEFAULT_NAME if folders else None
        self.moving = threading.Lock()  # one operation of the trash at a time
        self._cards: dict[str, list[Card]] = {kind: [] for kind in KINDS}
        self._answered: dict[int, int | Path | None] = {}  # card -> decision, folder of the trash
        self._operations: list[Path] = []  # folders of the trash
        self._last_id = 0
        self._thread: threading.Thread | None = None
        self._ended = False
        self.found = False
        self.doing = ""  # what the thread is at, in words
        self.trouble = ""  # why it broke off
        self.n_people = 0
        self.n_photos = 0
        self._doubtful: frozenset[str] = frozenset()

    # Finding

    @property
    def looking(self) -> bool:
        """Whether it is being looked for."""
        return self._thread is not None and self._thread.is_alive()

    def look(self) -> None:
        """Begin to look, unless somebody does already."""
        if self.looking or self._ended:
            return
        self.found, self.trouble, self.doing = False, "", "Starting"
        # no pool: one would have to wait for the thread at the end of the program
        self._thread = threading.Thread(target=self._look, name="duplicates", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        try:
            with closing(Gallery(self._path, self._model, create=False)) as gallery:
                self._say("Looking for names that hold two people", 1, 3)
                two = gallery.two_in_one(AT_LEAST)
                self._say("Looking for people under two names", 2, 3)
                one = gallery.same_people(AT_LEAST)
                self._say("Looking for pictures of a face that are enrolled twice", 3, 3)
                same = gallery.same_faces()
                groups = self._same_photos(gallery)
                cards = {
                    "people": [self._card(gallery, pair) for pair in one.pairs],
                    "names": [self._card(gallery, perhaps) for perhaps in two],
                    "faces": [self._card(gallery, pair) for pair in same],
                    "photos": [self._card(gallery, group) for group in groups],
                }
            # whoever was forgotten meanwhile left bytes: such long reading keeps them from being
            # erased, and opening erases them
            Gallery(self._path, self._model, create=False).close()
            self.n_people, self._doubtful = one.people, frozenset(t.person for t in two)
            self._cards = {k: [card for card in some if card] for k, some in cards.items()}
            self.found = True
        except FacesearchError as error:
            self.trouble = str(error)
        except Exception:
            self.trouble = "This is a bug in facesearch; the terminal shows more."
            raise
        finally:
            self.doing = ""

    def _same_photos(self, gallery: Gallery) -> Sequence[PhotoGroup]:
        if not self.folders:
            return ()
        report = find_duplicates(
            self.folders,
            self._cache,
            different=gallery.curation.different_photos(),
            progress=self._say,
        )
        self.n_photos = report.photos
        return report.groups

    def _say(self, what: str, done: int, total: int) -> None:
        if self._ended:
            raise FacesearchError("the page was ended")
        self.doing = f"{what}: {done:,} of {total:,}"

    def _card(self, gallery: Gallery, what: Proposal) -> Card | None:
        """Return the card of a proposal, None if somebody of it is gone by now."""
        self._last_id += 1
        card = Card(self._last_id, what, ids_of(gallery, what))
        if isinstance(what, PhotoGroup):
            return card
        sides = sides_of(gallery, card)
        return replace(card, faces=faces_on(sides)) if sides else None

    def close(self) -> None:
        """Stop looking."""
        self._ended = True
        if self._thread is not None:
            self._thread.join(LEAVE_S)

    # Showing

    def n_found(self, kind: str) -> int:
        """Return how many proposals were found."""
        return len(self._cards[kind])

    def n_answered(self, kind: str) -> int:
        """Return how many of them were decided here."""
        return sum(card.id in self._answered for card in self._cards[kind])

    def wrong(self, kind: str) -> tuple[float, int, float]:
        """Return how many proposals are probably wrong, how many are sure, how many of these."""
        probabilities = [
            card.what.probability
            for card in self._cards[kind]
            if isinstance(card.what, PerhapsOne | PerhapsTwo) and card.what.probability >= AT_LEAST
        ]
        sure = [p for p in probabilities if p >= SURE]
        return expected_wrong(probabilities, 0), len(sure), expected_wrong(sure, 0)

    def kind(self, card: Card) -> str:
        """Return of which kind a card is."""
        return next(kind for kind, some in self._cards.items() if card in some)

    def place(self, card: Card) -> int:
        """Return the place of a card among those of its kind, from 1."""
        return next(some.index(card) + 1 for some in self._cards.values() if card in some)

    def next_after(self, gallery: Gallery, kind: str, number: int) -> Sight | None:
        """Return the first card after that number that is still to be decided."""
        for card in self._cards[kind]:
            if card.id > number and card.id not in self._answered:
                sight = self.seen(gallery, card)
                if sight is not None:
                    return sight
        return None

    def card(self, number: int) -> Card | None:
        """Return the card with that number."""
        every = (card for some in self._cards.values() for card in some)
        return next((card for card in every if card.id == number), None)

    def seen(self, gallery: Gallery, card: Card) -> Sight | None:
        """Return a card as it is now, None if there is nothing to decide any more."""
        if isinstance(card.what, PhotoGroup):
            files = [card.what.keeper, *(twin.file for twin in card.what.duplicates)]
            return Sight(card, (), 0.0, False, ()) if all(map(unchanged, files)) else None
        sides = sides_of(gallery, card)
        if not sides:
            return None
        changed = faces_on(sides) != card.faces
        if isinstance(card.what, FaceTwice):
            return Sight(card, sides, 0.0, False, ())
        probability = card.what.probability
        if isinstance(card.what, PerhapsTwo):
            return None if changed else Sight(card, sides, probability, False, ())
        names = [side.name for side in sides]
        alike = {one.person: one for one in gallery.look_alikes(names[0], names[1:])}.get(names[1])
        if alike is None or alike.apart:  # gone in this moment, or known to be two
            return None
        probability = alike.probability if changed else probability
        doubtful = tuple(name for name in names if name in self._doubtful)
        return Sight(card, sides, probability, changed, doubtful)

    # Deciding

    def same(self, gallery: Gallery, card: Card, stamp: str, keep: int) -> Decision:
        """Say that both sides are the same; of two names, or of two faces, `keep` (0, 1) stays."""
        sides = self._as_shown(gallery, card, stamp)
        kept, other = sides[keep], sides[1 - keep]
        if isinstance(card.what, PerhapsOne):
            decision = gallery.curation.merge([other.name], kept.name)
        elif isinstance(card.what, PerhapsTwo):
            faces = [side.faces[0] for side in sides]
            decision = gallery.curation.confirm_faces(faces, kept.name)
        else:
            decision = gallery.curation.take_out(other.faces, other.name)
        return self._decided(card, decision)

    def not_same(self, gallery: Gallery, card: Card, stamp: str, keep: int, name: str) -> Decision:
        """Say that the sides are not the same, for ever.

        Of one name that holds two people the side `keep` keeps it, and the other is `name`'s.
        """
        if isinstance(card.what, PhotoGroup):
            kept, twins = card.what.keeper.content_hash, card.what.duplicates
            pairs = [(kept, twin.file.content_hash) for twin in twins]
            return self._decided(card, gallery.curation.not_same_photos(pairs))
        sides = self._as_shown(gallery, card, stamp)
        if isinstance(card.what, PerhapsOne):
            decision = gallery.curation.not_same(*(side.name for side in sides))
        elif isinstance(card.what, PerhapsTwo):
            decision = gallery.curation.give(sides[1 - keep].faces, sides[keep].name, name)
        else:
            first, second = (side.faces[0].content_hash for side in sides)
            decision = gallery.curation.not_same_photos([(first, second)])
        return self._decided(card, decision)

    def move_away(self, card: Card, chosen: Collection[int]) -> trash.Outcome:
        """Move the duplicates of a card that are `chosen` (places, from 1) to the trash."""
        assert isinstance(card.what, PhotoGroup)
        twins = tuple(
            replace(twin, sure=True)  # whoever chose it has looked at it
            for place, twin in enumerate(card.what.duplicates, 1)
            if place in chosen
        )
        if not twins:
            raise Refused("no photo was chosen; nothing was moved")
        outcome = self._moved([replace(card.what, duplicates=twins)])
        if outcome.moved:
            self._answered[card.id] = outcome.folder
        return outcome

    def move_all_away(self) -> trash.Outcome:
        """Move the sure duplicates of all cards that were not decided to the trash."""
        cards = self._open_groups()
        outcome = self._moved([group for _, group in cards])
        moved = set(outcome.moved)
        for card, group in cards:
            if moved.intersection(twin.file.path for twin in group.duplicates):
                self._answered[card.id] = outcome.folder
        return outcome

    def _moved(self, groups: Sequence[PhotoGroup]) -> trash.Outcome:
        with self.moving:
            outcome = trash.apply(groups, self._the_trash())
        self._operations.append(outcome.folder)
        return outcome

    def operation(self, outcome: trash.Outcome) -> int:
        """Return the number by which `move_back` knows what was moved here."""
        return self._operations.index(outcome.folder) + 1

    def n_sure_files(self) -> int:
        """Return how many files `move_all_away` would move."""
        return sum(twin.sure for _, group in self._open_groups() for twin in group.duplicates)

    def _open_groups(self) -> list[tuple[Card, PhotoGroup]]:
        return [
            (card, card.what)
            for card in self._cards["photos"]
            if isinstance(card.what, PhotoGroup) and card.id not in self._answered
        ]

    def move_back(self, operation: int | None) -> trash.Outcome:
        """Move back what an operation of this page moved; without one, whatever was moved last."""
        if operation is not None and not 0 < operation <= len(self._operations):
            raise Refused("this page moved nothing like that")
        with self.moving:
            folder = self._operations[operation - 1] if operation else None
            outcome = trash.undo(self._the_trash(), folder)
        self._asked_again(outcome.folder)
        return outcome

    def finish_moving(self) -> list[trash.Outcome]:
        """Carry out to the end what was cut short in the trash."""
        with self.moving:
            return trash.finish(self._the_trash())

    def _the_trash(self) -> Path:
        if self.trash is None:
            raise Refused("no folder was named when the page was started")
        return self.trash

    def _as_shown(self, gallery: Gallery, card: Card, stamp: str) -> tuple[Side, ...]:
        """Return the sides of a card; raises Refused unless they are those that were shown."""
        sight = self.seen(gallery, card)
        if sight is None or sight.stamp != stamp:
            raise Refused("this was changed meanwhile, so nothing was done; look at it once more")
        return sight.sides

    def _decided(self, card: Card, decision: Decision) -> Decision:
        self._answered[card.id] = decision.id
        return decision

    def undone(self, decision: int) -> None:
        """Ask again what that decision had answered, if it had."""
        self._asked_again(decision)

    def _asked_again(self, answer: int | Path) -> None:
        for number in [n for n, by in self._answered.items() if by == answer]:
            del self._answered[number]


def ids_of(gallery: Gallery, what: Proposal) -> tuple[int, ...]:
    """Return the ids of the people, or of the faces, that a proposal is about."""
    if isinstance(what, PhotoGroup):
        return ()
    if isinstance(what, FaceTwice):
        return tuple(face.id for face in what.faces)
    names = what.people if isinstance(what, PerhapsOne) else [what.person]
    try:
        return tuple(gallery.person_id(name) for name in names)
    except UnknownPerson:
        return ()


def sides_of(gallery: Gallery, card: Card) -> tuple[Side, ...]:
    """Return what stands side by side on a card, as the gallery has it now.

    None at all if somebody, or a face, is not there any more.
    """
    if isinstance(card.what, FaceTwice):
        found = [gallery.face(face) for face in card.ids]
        return (
            tuple(
                Side(face.person, face.person_id, (face,), (path,), n_others(gallery, face))
                for path, face in filter(None, found)
            )
            if all(found)
            else ()
        )
    names = [name for name in map(gallery.name_of, card.ids) if name is not None]
    if not names or len(names) < len(card.ids):
        return ()
    if isinstance(card.what, PerhapsOne):
        sides = [side_of(gallery, name) for name in names]
        return tuple(sides) if all(side.faces for side in sides) else ()
    assert isinstance(card.what, PerhapsTwo)
    whole = side_of(gallery, names[0])
    return tuple(camp_of(whole, camp) for camp in card.what.camps)


def side_of(gallery: Gallery, name: str) -> Side:
    """Return a person with all faces."""
    faces = gallery.faces_of(name)
    paths = tuple(path for path, _ in faces)
    return Side(name, gallery.person_id(name), tuple(face for _, face in faces), paths)


def camp_of(whole: Side, camp: Sequence[EnrolledFace]) -> Side:
    """Return the part of a person's faces that is in a camp."""
    ids = {face.id for face in camp}
    pairs = [
        (face, path) for face, path in zip(whole.faces, whole.paths, strict=True) if face.id in ids
    ]
    faces, paths = tuple(face for face, _ in pairs), tuple(path for _, path in pairs)
    return replace(whole, faces=faces, paths=paths, n_left=len(whole.faces) - len(faces))


def n_others(gallery: Gallery, face: KnownFace) -> int:
    """Return how many more faces the person of an enrolled face has."""
    return len(gallery.faces_of(face.person)) - 1


def faces_on(sides: Sequence[Side]) -> Faces:
    """Return what a proposal depends on: which faces stand side by side, and what else there is."""
    return tuple((*(face.id for face in side.faces), -side.n_left) for side in sides)
