"""A gallery and folders named on the command line -> duplicates, one card each, to be decided.

The search may take minutes, so it runs in a thread with a gallery of its own, while the server
keeps answering. A decision counts only for what its card showed: see `duplicate_cards`.
"""

import threading
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from facesearch.duplicates import trash
from facesearch.duplicates.enrolled import PerhapsOne, PerhapsTwo
from facesearch.duplicates.photos import PhotoGroup, find_duplicates
from facesearch.duplicates.proposals import AT_LEAST, SURE
from facesearch.duplicates.same_person import expected_wrong
from facesearch.errors import FacesearchError, Refused
from facesearch.gallery import Decision, Gallery
from facesearch.serving.duplicate_cards import Card, CardView, Proposal, Side, new_card, view_of

KINDS = ("people", "names", "faces", "photos")
LEAVE_S = 2.0  # how long `close` waits for the search, which loses nothing when it is cut off


class Duplicates:
    """The duplicates found so far, without those already decided in this run."""

    def __init__(self, gallery: Gallery, folders: Sequence[Path]) -> None:
        self._path = gallery.path
        self._model = gallery.model
        self._cache = gallery.upkeep.index_folder / "photos.cache"
        self.folders = folders
        self.trash = trash.default_trash(folders[0]) if folders else None
        self._moving = threading.Lock()  # one operation of the trash at a time
        self._cards: dict[str, list[Card]] = {kind: [] for kind in KINDS}
        self._decided_by: dict[int, int | Path | None] = {}  # card -> decision, or trash folder
        self._operations: list[Path] = []  # folders of the trash, as operations are numbered
        self._last_id = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self.is_found = False
        self.progress = ""  # what the search is doing, in words
        self.error = ""  # what ended the search
        self.n_people = 0
        self.n_photos = 0
        self._doubtful: frozenset[str] = frozenset()

    # Search

    @property
    def searching(self) -> bool:
        """Whether a search is running."""
        return self._thread is not None and self._thread.is_alive()

    def search(self) -> None:
        """Start a search unless one is running."""
        if self.searching or self._closed:
            return
        self.is_found, self.error, self.progress = False, "", "Starting"
        # no pool: the end of the program would wait for its thread
        self._thread = threading.Thread(target=self._search, name="duplicates", daemon=True)
        self._thread.start()

    def _search(self) -> None:
        try:
            with closing(Gallery(self._path, self._model, create=False)) as gallery:
                self._report("Looking for names that cover two people", 1, 3)
                two = gallery.duplicates.two_in_one(AT_LEAST)
                self._report("Looking for people under two names", 2, 3)
                one = gallery.duplicates.same_people(AT_LEAST)
                self._report("Looking for faces enrolled twice", 3, 3)
                same = gallery.duplicates.same_faces()
                groups = self._same_photos(gallery)
                proposals: tuple[Sequence[Proposal], ...] = (one.pairs, two, same, groups)
                cards = {
                    kind: [self._card(gallery, proposal) for proposal in some]
                    for kind, some in zip(KINDS, proposals, strict=True)
                }
            # a person forgotten during so long a read leaves bytes in the file; opening erases them
            Gallery(self._path, self._model, create=False).close()
            self.n_people, self._doubtful = one.people, frozenset(t.person for t in two)
            self._cards = {k: [card for card in some if card] for k, some in cards.items()}
            self.is_found = True
        except FacesearchError as error:
            self.error = str(error)
        except Exception:
            self.error = "This is a bug in facesearch; see the terminal for details."
            raise
        finally:
            self.progress = ""

    def _same_photos(self, gallery: Gallery) -> Sequence[PhotoGroup]:
        if not self.folders:
            return ()
        report = find_duplicates(
            self.folders,
            self._cache,
            different=gallery.duplicates.different_photos(),
            progress=self._report,
        )
        self.n_photos = report.photos
        return report.groups

    def _report(self, what: str, done: int, total: int) -> None:
        if self._closed:
            raise FacesearchError("the server was stopped")
        self.progress = f"{what}: {done:,} of {total:,}"

    def _card(self, gallery: Gallery, proposal: Proposal) -> Card | None:
        self._last_id += 1
        return new_card(gallery, self._last_id, proposal)

    def close(self) -> None:
        """Stop the search."""
        self._closed = True
        if self._thread is not None:
            self._thread.join(LEAVE_S)

    # Cards

    def n_found(self, kind: str) -> int:
        """Return the number of proposals of a kind."""
        return len(self._cards[kind])

    def n_open(self, kind: str) -> int:
        """Return how many of them are not decided yet."""
        return sum(card.id not in self._decided_by for card in self._cards[kind])

    def expected_wrong(self, kind: str) -> tuple[float, int, float]:
        """Return (expected wrong proposals, sure proposals, expected wrong sure proposals)."""
        probabilities = [
            card.proposal.probability
            for card in self._cards[kind]
            if isinstance(card.proposal, PerhapsOne | PerhapsTwo)
            and card.proposal.probability >= AT_LEAST
        ]
        sure = [p for p in probabilities if p >= SURE]
        return expected_wrong(probabilities, 0), len(sure), expected_wrong(sure, 0)

    def kind(self, card: Card) -> str:
        """Return which of KINDS a card is."""
        return next(kind for kind, some in self._cards.items() if card in some)

    def place(self, card: Card) -> int:
        """Return the place of a card among those of its kind, from 1."""
        return next(some.index(card) + 1 for some in self._cards.values() if card in some)

    def next_after(self, gallery: Gallery, kind: str, number: int) -> CardView | None:
        """Return the first undecided card whose id is above `number`, None if none is left."""
        for card in self._cards[kind]:
            if card.id > number and card.id not in self._decided_by:
                view = self.view(gallery, card)
                if view is not None:
                    return view
        return None

    def card(self, number: int) -> Card | None:
        """Return the card with that id, None if there is none."""
        every = (card for some in self._cards.values() for card in some)
        return next((card for card in every if card.id == number), None)

    def view(self, gallery: Gallery, card: Card) -> CardView | None:
        """Return a card as it is now, None if there is nothing left to decide."""
        return view_of(gallery, card, self._doubtful)

    # Decisions

    def same(self, gallery: Gallery, card: Card, stamp: str, keep: int) -> Decision:
        """Decide that both sides are the same; side `keep` (0, 1) keeps its name or its face."""
        sides = self._shown_sides(gallery, card, stamp)
        kept, other = sides[keep], sides[1 - keep]
        if isinstance(card.proposal, PerhapsOne):
            decision = gallery.people.merge([other.name], kept.name)
        elif isinstance(card.proposal, PerhapsTwo):
            faces = [side.faces[0] for side in sides]
            decision = gallery.faces.confirm(faces, kept.name)
        else:
            decision = gallery.people.take_out(other.faces, other.name)
        return self._decided(card, decision)

    def not_same(self, gallery: Gallery, card: Card, stamp: str, keep: int, name: str) -> Decision:
        """Decide that the sides are not the same, which later searches respect.

        If one name covers two people, side `keep` keeps it and the other side's faces go to `name`.
        """
        if isinstance(card.proposal, PhotoGroup):
            kept, twins = card.proposal.keeper.identity, card.proposal.duplicates
            pairs = [(kept, twin.file.identity) for twin in twins]
            return self._decided(card, gallery.duplicates.not_same_photos(pairs))
        sides = self._shown_sides(gallery, card, stamp)
        if isinstance(card.proposal, PerhapsOne):
            decision = gallery.people.not_same(*(side.name for side in sides))
        elif isinstance(card.proposal, PerhapsTwo):
            decision = gallery.people.give(sides[1 - keep].faces, sides[keep].name, name)
        else:
            first, second = (side.faces[0].content_hash for side in sides)
            decision = gallery.duplicates.not_same_photos([(first, second)])
        return self._decided(card, decision)

    def _shown_sides(self, gallery: Gallery, card: Card, stamp: str) -> tuple[Side, ...]:
        """Return both sides of a card; raises Refused unless they are what `stamp` was made of."""
        view = self.view(gallery, card)
        if view is None or view.stamp != stamp:
            raise Refused("this has changed, so nothing was done; look at it again")
        return view.sides

    def _decided(self, card: Card, decision: Decision) -> Decision:
        self._decided_by[card.id] = decision.id
        return decision

    def reopen(self, decided_by: int | Path) -> None:
        """Ask again what a decision, or an operation of the trash, had decided."""
        for number in [n for n, by in self._decided_by.items() if by == decided_by]:
            del self._decided_by[number]

    # Trash

    def move_to_trash(self, card: Card, chosen: Collection[int]) -> trash.Outcome:
        """Move the duplicates of a card whose places (from 1) are `chosen` to the trash."""
        assert isinstance(card.proposal, PhotoGroup)
        twins = tuple(
            replace(twin, sure=True)  # the user has looked at it
            for place, twin in enumerate(card.proposal.duplicates, 1)
            if place in chosen
        )
        if not twins:
            raise Refused("no photo was selected; nothing was moved")
        outcome = self._move([replace(card.proposal, duplicates=twins)])
        if outcome.moved:
            self._decided_by[card.id] = outcome.folder
        return outcome

    def move_all_to_trash(self) -> trash.Outcome:
        """Move the sure duplicates of all undecided cards to the trash."""
        cards = self._open_groups()
        outcome = self._move([group for _, group in cards])
        moved = set(outcome.moved)
        for card, group in cards:
            if moved.intersection(twin.file.path for twin in group.duplicates):
                self._decided_by[card.id] = outcome.folder
        return outcome

    def _move(self, groups: Sequence[PhotoGroup]) -> trash.Outcome:
        with self._moving:
            outcome = trash.apply(groups, self._the_trash())
        self._operations.append(outcome.folder)
        return outcome

    def operation(self, outcome: trash.Outcome) -> int:
        """Return the number by which `move_back` knows an operation of this run."""
        return self._operations.index(outcome.folder) + 1

    def n_sure_files(self) -> int:
        """Return how many files `move_all_to_trash` would move."""
        return sum(twin.sure for _, group in self._open_groups() for twin in group.duplicates)

    def _open_groups(self) -> list[tuple[Card, PhotoGroup]]:
        return [
            (card, card.proposal)
            for card in self._cards["photos"]
            if isinstance(card.proposal, PhotoGroup) and card.id not in self._decided_by
        ]

    def move_back(self, operation: int | None) -> trash.Outcome:
        """Move back what an operation of this run moved; None means the newest of any run."""
        if operation is not None and not 0 < operation <= len(self._operations):
            raise Refused("this page moved nothing under that number")
        with self._moving:
            folder = self._operations[operation - 1] if operation else None
            outcome = trash.undo(self._the_trash(), folder)
        self.reopen(outcome.folder)
        return outcome

    def finish_interrupted(self) -> list[trash.Outcome]:
        """Finish the operations of the trash that were interrupted."""
        with self._moving:
            return trash.finish(self._the_trash())

    def _the_trash(self) -> Path:
        if self.trash is None:
            raise Refused("the page was started without a folder")
        return self.trash
