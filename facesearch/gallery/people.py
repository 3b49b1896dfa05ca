"""The people of a gallery: who is enrolled, and who is whom.

merge, split, move, take out, not-same, rename: each is one transaction and one entry of the
history, and can be undone. Why, and what undo refuses: docs/decisions/0009-curation.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from facesearch.boxes import same_place
from facesearch.errors import Refused
from facesearch.gallery.decisions import Decision, Decisions, undo_first
from facesearch.gallery.lookup import EnrolledIn, enrolled_faces_in
from facesearch.gallery.person_rows import drop_rejections, new_person
from facesearch.gallery.session import Session
from facesearch.names import folded, new_person_name, person_name
from facesearch.storage.decisions import DecisionRow
from facesearch.storage.journal import Journal
from facesearch.storage.rows import KnownFace, PersonRow


class People:
    """The people of a gallery; `Gallery.people` is one.

    Names that nobody bears raise UnknownPerson, or ValueError if they cannot be names. What must
    not be raises Refused. Then, and with `dry_run`, nothing is changed.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._store = session.store
        self._log = session.log
        self._decisions = Decisions(session)

    # Who is enrolled

    def all(self) -> list[PersonRow]:
        """Return everyone who is enrolled, by name."""
        return self._store.people.all()

    def names(self) -> list[str]:
        """Return the names of everyone who is enrolled, in their order."""
        return self._store.people.names()

    def count(self) -> int:
        """Return how many people are enrolled."""
        return self._store.people.count()

    def find(self, searched: str, start: int, most: int) -> tuple[list[PersonRow], int]:
        """Return the people whose names hold `searched`, and how many there are.

        Case and accents do not matter. At most `most`, by name, from number `start` on. Only the
        names of the others are read: a gallery may hold 10,000 people.
        """
        with self._store.snapshot():
            found = self._store.people.ids_and_names()
            if wanted := folded(searched):
                found = [(person, name) for person, name in found if wanted in folded(name)]
            shown = [person for person, _ in found[start : start + most]]
            return self._store.people.with_ids(shown), len(found)

    def id_of(self, name: str) -> int:
        """Return the id of a person, which stays when they are renamed; raises UnknownPerson."""
        return self._session.person(name)

    def names_of(self, person_ids: Iterable[int]) -> dict[int, str]:
        """Return the names of those of `person_ids` who are enrolled."""
        return self._store.people.names_of(person_ids)

    def faces_of(self, name: str) -> list[tuple[str | None, KnownFace]]:
        """Return the photo paths and faces of a person; raises UnknownPerson."""
        return self._store.faces.of_person(self._session.person(name))

    def cover(self, name: str) -> int | None:
        """Return the id of the face shown for a person, None if there is none."""
        return self._store.people.cover_face(name)

    # Who is whom

    def merge(
        self,
        names: Iterable[str],
        into: str,
        *,
        dry_run: bool = False,
        same_person_twice: bool = False,
    ) -> Decision:
        """Make the people called `names` one with `into`: their faces and decisions go there.

        Refused if a human said that two of them are not one person, or that a face is not who it
        would be. `same_person_twice` as in `Faces.confirm`.
        """
        return self.merge_all([(names, into)], dry_run=dry_run, same_person_twice=same_person_twice)

    def merge_all(
        self,
        groups: Iterable[tuple[Iterable[str], str]],
        *,
        dry_run: bool = False,
        same_person_twice: bool = False,
    ) -> Decision:
        """Make several merges, (names, into), one decision: all are made and undone, or none is.

        See `merge`. Refused if there is none to make.
        """
        run: list[DecisionRow] = []
        with self._decisions.deciding(dry_run, same_person_twice=same_person_twice):
            for names, into in groups:
                run.append(self._merge(names, into, run))
            if not run:
                raise Refused("there is nobody to merge")
            decision = self._decisions.entry(run)
        return replace(decision, id=None) if dry_run else decision

    def _merge(self, names: Iterable[str], into: str, run: Sequence[DecisionRow]) -> DecisionRow:
        journal = self._store.journal()
        target = self._session.person(into)
        sources = [p for p in dict.fromkeys(map(self._session.person, names)) if p != target]
        if not sources:
            raise Refused(f"there is nobody else to merge into {into}")
        called = self._store.people.names_of([target, *sources])
        self._check_may_be_one(journal, {target, *sources})
        n_faces = 0
        for source in sources:
            n_faces += self._hand_over(journal, source, target)
            journal.delete("person", source)
        self._check_rejections(target)
        others = ", ".join(called[source] for source in sources)
        faces = self._session.counted(n_faces)
        summary = f"merged {others} into {called[target]} ({faces})"
        return self._decisions.append("merge", journal, target, sources, summary=summary, run=run)

    def _check_may_be_one(self, journal: Journal, people: set[int]) -> None:
        """Raise Refused if a human said that two of `people` are not one.

        What only a split implied gives way to a merge that is asked for.
        """
        for row, a, b in self._store.verdicts.not_same():
            if not {a, b} <= people:
                continue
            if self._is_implied(row):
                journal.delete("not_same", row)
                continue
            said = self._log.that_changed("not_same", row)[-1:]
            names = self._store.people.names_of([a, b])
            raise Refused(
                f"{names[a]} and {names[b]} are two people, a human said{undo_first(said)}"
            )

    def _is_implied(self, pair: int) -> bool:
        """Return whether a pair is two people only since a split made them so."""
        said = self._log.that_changed("not_same", pair)[-1:]
        return [row.kind for row in said] == ["split"]

    def _hand_over(self, journal: Journal, source: int, target: int) -> int:
        """Give everything stored of `source` to `target`; return the number of faces."""
        faces = [face for _, face in self._store.faces.of_person(source)]
        for face in faces:
            journal.update("face", face.id, person_id=target)
        for rejection in self._store.verdicts.rejections_of(source):
            journal.update("rejection", rejection.id, person_id=target)
        pairs = self._store.verdicts.not_same()
        for row, a, b in pairs:
            if source in (a, b):
                first, second = sorted((a if b == source else b, target))
                if any((first, second) == (x, y) for _, x, y in pairs):
                    journal.delete("not_same", row)
                else:
                    journal.update("not_same", row, person_a=first, person_b=second)
        return len(faces)

    def _check_rejections(self, person: int) -> None:
        """Raise Refused if a face is enrolled as this person that a human said is not them."""
        for rejection in self._store.verdicts.rejections_of(person):
            for face in self._store.faces.in_photo(rejection.content_hash):
                if face.person_id == person and same_place(face.box, rejection.box):
                    said = self._log.that_changed("rejection", rejection.id)[-1:]
                    raise Refused(
                        "a face of the one was rejected as the other, so they are two people"
                        f"{undo_first(said)}"
                    )

    def split(
        self, name: str, photos: Iterable[EnrolledIn], new_name: str, *, dry_run: bool = False
    ) -> Decision:
        """Make the faces of `name` in `photos` a new person, who is not `name` from now on.

        One of `photos` may be an enrolled face: then that one alone is meant, not what else of
        `name` its photo shows. Refused if there is a `new_name` already, or nothing would be left
        of `name`. Raises FaceError for a photo from which `name` is not enrolled.
        """
        new_name = new_person_name(new_name)
        with self._decisions.deciding(dry_run) as journal:
            person = self._session.person(name)
            faces = enrolled_faces_in(self._session, person, photos)
            if len(faces) == len(self._store.faces.of_person(person)):
                raise Refused(f"nothing would be left of {name}; rename them instead")
            new = new_person(self._store, journal, new_name)
            journal.insert("not_same", {"person_a": person, "person_b": new})
            for face in faces:
                journal.update("face", face, person_id=new, assigned_by="human")
            counted = self._session.counted(len(faces))
            summary = f"split {counted} off {self._session.name(person)} as {new_name}"
            return self._decisions.decide("split", summary, journal, person, [new], dry_run=dry_run)

    def move(
        self,
        photos: Iterable[EnrolledIn],
        name: str,
        to: str,
        *,
        dry_run: bool = False,
        same_person_twice: bool = False,
    ) -> Decision:
        """Make the faces of `name` in `photos` faces of `to`; `photos` as in `split`.

        `same_person_twice` as in `Faces.confirm`.

        A person whose last face goes stays: their name, and what was said of them, remain.
        Raises FaceError for a photo from which `name` is not enrolled.
        """
        twice = same_person_twice
        with self._decisions.deciding(dry_run, same_person_twice=twice) as journal:
            person, target = self._session.person(name), self._session.person(to)
            if person == target:
                raise Refused(f"{name} and {to} are one person already")
            faces = enrolled_faces_in(self._session, person, photos)
            for face in faces:
                journal.update("face", face, person_id=target, assigned_by="human")
            drop_rejections(self._store, journal, target)
            moved = self._session.counted(len(faces))
            names = self._store.people.names_of([person, target])
            summary = f"moved {moved} from {names[person]} to {names[target]}"
            return self._decisions.decide(
                "move", summary, journal, target, [person], dry_run=dry_run
            )

    def give(
        self,
        photos: Iterable[EnrolledIn],
        name: str,
        to: str,
        *,
        same_person_twice: bool = False,
    ) -> Decision:
        """Make the faces of `name` in `photos` those of `to`, who may be new.

        See `move` and `split`.
        """
        if self._store.people.id_of(person_name(to)) is None:
            return self.split(name, photos, to)
        return self.move(photos, name, to, same_person_twice=same_person_twice)

    def take_out(self, photos: Iterable[EnrolledIn], name: str) -> Decision:
        """Take the faces of `name` in `photos` out of the gallery; `photos` as in `split`.

        Nothing is said of whose they are, as of a copy that nobody needs: `reject` says that.
        A person whose last face goes stays. Raises FaceError as `split` does.
        """
        with self._decisions.deciding() as journal:
            person = self._session.person(name)
            faces = enrolled_faces_in(self._session, person, photos)
            for face in faces:
                self._store.faces.remove(journal, face)
            counted = self._session.counted(len(faces))
            summary = f"took {counted} of {self._session.name(person)} out"
            return self._decisions.decide("take-out", summary, journal, person)

    def not_same(self, name: str, other: str) -> Decision:
        """Say that two people are not one: nothing proposes or allows to merge them any more."""
        with self._decisions.deciding() as journal:
            first, second = sorted((self._session.person(name), self._session.person(other)))
            if first == second:
                raise Refused(f"{name} and {other} are one person in this gallery; split them")
            rows = {(a, b): row for row, a, b in self._store.verdicts.not_same()}
            row = rows.get((first, second))
            if row is not None and self._is_implied(row):
                journal.delete("not_same", row)  # and said again, so that a merge is refused
                row = None
            if row is None:
                journal.insert("not_same", {"person_a": first, "person_b": second})
            names = self._store.people.names_of([first, second])
            summary = f"said that {names[first]} and {names[second]} are two people"
            return self._decisions.decide("not-same", summary, journal, first, [second])

    def rename(self, name: str, new_name: str) -> Decision:
        """Give a person another name; Refused if somebody else bears it."""
        new_name = new_person_name(new_name)
        with self._decisions.deciding() as journal:
            person = self._session.person(name)
            if self._store.people.id_of(new_name) not in (None, person):
                raise Refused(f"there is a person called {new_name} already")
            name = self._session.name(person)
            if name != new_name:
                journal.update("person", person, name=new_name)
            return self._decisions.decide(
                "rename", f"renamed {name} to {new_name}", journal, person
            )
