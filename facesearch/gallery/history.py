"""What was decided, and undoing it."""

from collections.abc import Sequence
from dataclasses import replace

from facesearch.boxes import same_place
from facesearch.errors import Refused
from facesearch.gallery.decisions import Decision, Decisions
from facesearch.gallery.session import Session
from facesearch.names import person_name
from facesearch.storage.decisions import DecisionRow
from facesearch.storage.journal import Change, Journal, NameTaken, NotAsLeft
from facesearch.storage.rows import Dismissal


class History:
    """The decisions of a gallery; `Gallery.history` is one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._store = session.store
        self._log = session.log
        self._decisions = Decisions(session)

    def list(self, name: str | None = None, limit: int | None = None) -> list[Decision]:
        """Return the decisions, newest first: all, or those about the person called `name`.

        Those about people who were merged into them are included. Raises UnknownPerson.
        """
        with self._store.snapshot():
            person = None if name is None else self._session.person(name)
            undone = self._log.undone()
            runs = self._log.newest(person, limit=limit)
            return [self._decisions.entry(run, undone) for run in runs]

    def newest_forgetting(self) -> int | None:
        """Return a number that changes when somebody is forgotten, by any program."""
        return self._log.newest_forgetting()

    def gone_person(self, name: str) -> int | None:
        """Return the id of who was called `name` if only decisions are left of them, else None."""
        wanted = person_name(name)
        there = self._store.people.id_of(wanted) is not None
        return None if there else self._log.gone_person(wanted)

    def undo(self, number: int | None = None, *, dry_run: bool = False) -> Decision:
        """Undo a decision, by default the last that is not undone; undoings too, by number.

        Raises Refused if it is undone already, if what it was about has changed since (the sentence
        names the decision to undo before it), or if it was a forgetting.
        """
        with self._decisions.deciding(dry_run):
            undone = self._to_undo(number)
            undoing: list[DecisionRow] = []
            for row in reversed(undone):
                undoing.append(self._undo(row, undone, undoing))
            decision = self._decisions.entry(undoing)
        return replace(decision, id=None) if dry_run else decision

    def people_of(self, number: int | None = None) -> int:
        """Return how many people the undo of a decision concerns; see `undo` for `number`."""
        with self._store.snapshot():
            people: set[int | None] = set()
            for row in self._to_undo(number):
                people |= {row.person_id, *self._log.other_people(row.id)}
        return len(people - {None})

    def _to_undo(self, number: int | None) -> Sequence[DecisionRow]:
        """Return what has that number, or the last that can be undone; raises Refused."""
        if number is None:
            number = self._log.last_to_undo()
            if number is None:
                raise Refused("there is nothing to undo")
        run = self._log.run_of(number)
        if not run:
            raise Refused(f"there is no decision {number}; facesearch history lists them")
        if run[0].kind == "forget":
            raise Refused("forgetting cannot be undone: nothing is left of who was forgotten")
        by = self._log.undone().get(run[0].id)
        if by is not None:
            raise Refused(f"{run[0].run} is undone already, by {by}")
        return run

    def _undo(
        self, row: DecisionRow, run: Sequence[DecisionRow], undoing: Sequence[DecisionRow]
    ) -> DecisionRow:
        """Undo one decision of `run` and append that to `undoing`; raises Refused."""
        journal = self._store.journal()
        try:
            if row.kind == "enroll":
                self._withdraw(journal, row)
            else:
                journal.revert(row.changes)
            self._check_places(journal.changes)
        except NotAsLeft as error:
            raise Refused(self._what_is_later(run, error)) from error
        except NameTaken as error:
            raise Refused(
                f"{row.run} cannot be undone: somebody else is called {error} now; "
                "rename them first"
            ) from error
        return self._decisions.append(
            "undo",
            journal,
            row.person_id,
            self._log.other_people(row.id),
            photo=row.payload.get("photo"),
            undoes=row.id,
            run=undoing,
        )

    def _withdraw(self, journal: Journal, row: DecisionRow) -> None:
        """Undo an enrollment, whose changes are not noted: they follow from the face."""
        face, person = row.face_id, row.person_id
        if face is None or person is None:
            raise Refused(f"{row.id} is an enrollment that says too little to be undone")
        found = self._store.faces.get(face)
        if found is None or found.person_id != person:
            raise NotAsLeft("face", face)
        self._store.faces.remove(journal, face)
        came_by_it = self._log.first_about(person) == row.id
        if came_by_it and not journal.is_used("person", person):
            journal.delete("person", person)

    def _check_places(self, changes: Sequence[Change]) -> None:
        """Raise NotAsLeft if a face or a verdict that came back contradicts what is there now."""
        for table, row, _, after in changes:
            if after is None:
                continue
            if table == "face":
                self._check_face(row)
            elif table == "rejection":
                self._check_rejection(row)
            elif table == "dismissal":
                dismissal = self._store.verdicts.dismissal(row)
                if dismissal is not None:  # it did not go again
                    self._check_dismissal(dismissal)

    def _check_face(self, row: int) -> None:
        """Raise NotAsLeft if a face that came back is somebody else's now, or was rejected."""
        face = self._store.faces.get(row)
        if face is None:  # it went again
            return
        said = self._store.verdicts.of_photo(face.content_hash)
        for other in said.enrolled:
            if other.id != row and same_place(other.box, face.box):
                raise NotAsLeft("face", other.id)
        for rejection in said.rejections:
            same_person = rejection.person_id == face.person_id
            if same_person and same_place(rejection.box, face.box):
                raise NotAsLeft("rejection", rejection.id)
        for dismissal in said.dismissals:
            if same_place(dismissal.box, face.box):
                raise NotAsLeft("dismissal", dismissal.id)

    def _check_rejection(self, row: int) -> None:
        """Raise NotAsLeft if the face is enrolled as who a rejection that came back excludes."""
        rejection = self._store.verdicts.rejection(row)
        if rejection is None:
            return
        known = self._store.verdicts.of_photo(rejection.content_hash).enrolled_at(rejection.box)
        if known is not None and known.person_id == rejection.person_id:
            raise NotAsLeft("face", known.id)

    def _check_dismissal(self, dismissal: Dismissal) -> None:
        """Raise NotAsLeft if a face is enrolled there, or another dismissal made, since."""
        said = self._store.verdicts.of_photo(dismissal.content_hash)
        known = said.enrolled_at(dismissal.box)
        if known is not None:
            raise NotAsLeft("face", known.id)
        for other in said.dismissals:
            if other.id != dismissal.id and same_place(other.box, dismissal.box):
                raise NotAsLeft("dismissal", other.id)

    def _what_is_later(self, run: Sequence[DecisionRow], error: NotAsLeft) -> str:
        """Return the sentence that says why `run` cannot be undone."""
        number, undone = run[0].run, self._log.undone()
        for later in self._log.that_changed(error.table, error.row):
            if later.run > number and later.id not in undone:
                said = self._decisions.summary(self._log.summary_rows(later.run))
                return f"{number} cannot be undone before {later.run} is, which came later ({said})"
        return f"{number} cannot be undone any more: what it was about was forgotten"
