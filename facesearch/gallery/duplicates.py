"""Who is enrolled twice, which names hold two people, and which photos are not one picture."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from facesearch.candidates import mean_template
from facesearch.errors import Refused
from facesearch.gallery.decisions import Decision, Decisions
from facesearch.gallery.live_index import REBUILD_SHARE
from facesearch.gallery.session import Session

if TYPE_CHECKING:
    from facesearch.duplicates.enrolled import (
        EnrolledFace,
        EnrolledTwice,
        EnrolledTwiceFinder,
        FaceTwice,
        LookAlike,
        PerhapsTwo,
    )


class Duplicates:
    """What is in a gallery twice; `Gallery.duplicates` is one. Finding changes nothing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._store = session.store

    def same_people(self, at_least: float = 0.5) -> "EnrolledTwice":
        """Return which names belong to one person with a probability of `at_least`.

        Names equal but for case, accents or spaces are among the pairs at any probability. People
        of whom a human said that they are two are never among them. `people.merge_all` makes them
        one.
        """
        with self._finding() as finder:
            return finder.same_people(at_least)

    def two_in_one(self, at_least: float = 0.5) -> tuple["PerhapsTwo", ...]:
        """Return which names hold two people with a probability of `at_least`, and whose faces.

        Not those whose two camps a human made or called one person. `people.split` parts them.
        """
        with self._finding() as finder:
            return finder.two_in_one(at_least)

    def same_faces(self) -> tuple["FaceTwice", ...]:
        """Return which pictures of a face are enrolled twice, under one name or two."""
        with self._finding() as finder:
            return finder.same_faces()

    def look_alikes(self, name: str, among: Iterable[str] = ()) -> list["LookAlike"]:
        """Return who else of the gallery may be that person, most probable first.

        The nearest few, and those called as `among` says. Also those who are known to be somebody
        else, with the reason. The statistics of strangers and of mates may be of a gallery up to a
        tenth smaller. Raises UnknownPerson.
        """
        from facesearch.duplicates.enrolled import EnrolledTwiceFinder, look_alikes

        store = self._store
        with self._session.live.reading() as view:
            person, others = self._session.person(name), set(map(self._session.person, among))
            _, rows = store.templates.of_people([person])
            if len(rows) == 0:
                return []
            (nearest,) = view.candidates(mean_template(rows)[None])
            n_new = view.seq - view.judged_seq
            if view.judge is None or n_new > REBUILD_SHARE * len(view.index):
                finder = EnrolledTwiceFinder(store, self._session.model, view.index)
                view.judge, view.judged_seq = finder.judge(), view.seq
            others |= nearest.keys()
            return look_alikes(store, view.judge, person, others, view.strangers.people)

    def enrolled_faces(self, name: str) -> "list[EnrolledFace]":
        """Return the faces of a person as the proposals hold them; raises UnknownPerson."""
        from facesearch.duplicates.enrolled import enrolled_face

        with self._store.snapshot():
            faces = self._store.faces.of_person(self._session.person(name))
            return [enrolled_face(path, face, self._store) for path, face in faces]

    @contextmanager
    def _finding(self) -> Iterator["EnrolledTwiceFinder"]:
        from facesearch.duplicates.enrolled import EnrolledTwiceFinder

        with self._session.live.reading() as view:
            yield EnrolledTwiceFinder(self._store, self._session.model, view.index)

    def not_same_photos(self, pairs: Iterable[tuple[str, str]]) -> Decision:
        """Say that pairs of photos, by their keys or identities, are not the same picture."""
        identity_of = self._store.pictures.identity_of
        decisions = Decisions(self._session)
        with decisions.deciding() as journal:
            known = {tuple(sorted(pair)) for pair in self.different_photos()}
            by_identity = (sorted(map(identity_of, pair)) for pair in pairs)
            new = {(first, second) for first, second in by_identity} - known
            for first, second in sorted(new):
                if first == second:
                    raise Refused("a picture is the same as itself")
                journal.insert("not_same_photo", {"hash_a": first, "hash_b": second})
            pairs_of = "a pair" if len(new) == 1 else f"{len(new):,} pairs"
            summary = f"said of {pairs_of} of photos that they are not one picture"
            return decisions.decide("not-same-photo", summary, journal, None)

    def different_photos(self) -> set[frozenset[str]]:
        """Return the pairs of pictures that a human said are two.

        By their identities; by the hash of its bytes where nobody has seen a photo since a former
        version.
        """
        identity_of = self._store.pictures.identity_of
        pairs = self._store.verdicts.not_same_photos()
        return {frozenset(map(identity_of, pair)) for pair in pairs}
