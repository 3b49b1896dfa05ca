"""The log of decisions: what was decided about whom, and what undid it.

It is appended to, and only forgetting takes something out. Decisions that were made at once (those
of one `enroll`, of several merges, and of their undoing) are a run: told and undone as one, under
the number of the first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from facesearch.storage.journal import Change, key, pack, unpack
from facesearch.storage.store import Store, damaged, now

RUN = "coalesce(run, id)"  # indexed; also that of a decision made alone, or first
SAME_RUN = f"{RUN} = coalesce((SELECT {RUN} FROM decision WHERE id = ?), ?)"  # the number, twice


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """An entry of the log of decisions."""

    id: int
    made_at: str
    made_by: str  # "human" or "machine"
    kind: str
    person_id: int | None  # who has, after it, what it was about
    face_id: int | None
    payload: dict[str, Any]  # "summary", "changes", perhaps "photo": (content hash, path)
    undoes: int | None
    run: int  # the number under which it is told and undone

    @property
    def changes(self) -> list[Change]:
        """The row changes that it consisted of; none are noted of an enrollment."""
        changes: list[Change] = self.payload["changes"]
        return changes

    @property
    def faces(self) -> set[int]:
        """The ids of the faces that it changed; see `changes`."""
        return {change.id for change in self.changes if change.table == "face"}

    @property
    def confirms_one_face(self) -> bool:
        """Whether it says of one face whose it is: who names a group has not looked at all."""
        return self.kind == "confirm" and len(self.faces) == 1


class DecisionLog:
    """The decisions stored in a gallery; append to it inside `Store.transaction`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def append(
        self,
        kind: str,
        made_by: str = "human",
        *,
        person_id: int | None = None,
        face_id: int | None = None,
        others: Iterable[int] = (),
        payload: dict[str, Any] | None = None,
        undoes: int | None = None,
        run: int | None = None,
    ) -> DecisionRow:
        """Append a decision to the log; return it.

        `person_id` is whom it is about, of several the one who has, after it, what it was about;
        `others` are the others. `run` is the first of those that are made at once, if this is
        another.
        """
        payload, made_at = payload or {}, now()
        cursor = self._store.db.execute(
            "INSERT INTO decision "
            "(made_at, made_by, kind, person_id, face_id, payload, undoes, run) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (made_at, made_by, kind, person_id, face_id, pack(payload), undoes, run),
        )
        number = int(cursor.lastrowid or 0)
        self._store.db.executemany(
            "INSERT INTO decision_person VALUES (?, ?)", [(number, o) for o in {*others}]
        )
        payload = {"changes": [], **payload}
        return DecisionRow(
            *(number, made_at, made_by, kind, person_id, face_id),
            payload=payload,
            undoes=undoes,
            run=run or number,
        )

    # Reading

    def select(self, where: str, values: Sequence[Any] = ()) -> list[DecisionRow]:
        """Return the decisions that an SQL condition selects."""
        rows = self._store.rows(
            "SELECT id, made_at, made_by, kind, person_id, face_id, payload, undoes, "
            f"{RUN} FROM decision WHERE {where}",
            values,
        )
        try:
            return [
                DecisionRow(number, at, by, kind, person, face, unpack(payload), undoes, run)
                for number, at, by, kind, person, face, payload, undoes, run in rows
            ]
        except ValueError as error:
            raise damaged(self._store.path, error) from error

    def run_of(self, number: int) -> list[DecisionRow]:
        """Return the decisions that were made at once with a decision, in order.

        None if there is none with that number.
        """
        return self.select(f"{SAME_RUN} ORDER BY id", (number, number))

    def to_tell(self, number: int) -> list[DecisionRow]:
        """Return what `run_of` does, as far as it has to be read to be told.

        Of enrollments that is the first: see `enrolled` for the others, which may be 100,000.
        """
        first = self.select(f"{SAME_RUN} ORDER BY id LIMIT 1", (number, number))
        return first if first and first[0].kind == "enroll" else self.run_of(number)

    def enrolled(self, run: int, some: int) -> tuple[int, int, list[int]]:
        """Return how many faces a run of enrollments stored, of how many people, and who they are.

        Of the people the ids of `some`, as a rule the first.
        """
        ((n_faces, n_people),) = self._store.rows(
            f"SELECT count(*), count(DISTINCT person_id) FROM decision WHERE {RUN} = ?", (run,)
        )
        people = self._store.rows(
            f"SELECT DISTINCT person_id FROM decision WHERE {RUN} = ? LIMIT ?", (run, some)
        )
        return n_faces, n_people, [person for (person,) in people]

    def newest(
        self, person_id: int | None = None, *, limit: int | None = None
    ) -> list[list[DecisionRow]]:
        """Return the newest runs of decisions: all, or those about a person or who became them.

        Each is in order, and whole, also if it is about others, too; see `to_tell`.
        """
        where: str = "1"
        values: tuple[int, ...] = ()
        if person_id is not None:
            people = tuple(self.became(person_id))
            where, values = about(people), people * 2
        runs = self._store.rows(
            f"SELECT {RUN} AS number FROM decision WHERE {where} "
            "GROUP BY number ORDER BY number DESC LIMIT ?",
            (*values, -1 if limit is None else limit),
        )
        return [self.to_tell(number) for (number,) in runs]

    def others_of(self, number: int) -> list[int]:
        """Return the ids of the people whom a decision is about besides its `person_id`."""
        sql = "SELECT person_id FROM decision_person WHERE decision_id = ?"
        return [person for (person,) in self._store.rows(sql, (number,))]

    def undone(self) -> dict[int, int]:
        """Return the ids of decisions that are undone, with the number of the undoing."""
        undone: dict[int, int] = {}
        undoings = (
            f"SELECT id, undoes, {RUN} FROM decision WHERE undoes IS NOT NULL ORDER BY id DESC"
        )
        for undoing, decision, number in self._store.rows(undoings):
            if undoing not in undone:  # an undoing that is undone itself undoes nothing
                undone[decision] = number
        return undone

    def newest_number(self) -> int | None:
        """Return the number of the newest decision of all."""
        ((newest,),) = self._store.rows("SELECT max(id) FROM decision")
        return None if newest is None else int(newest)

    def newest_forgetting(self) -> int | None:
        """Return the number of the newest decision that forgot somebody."""
        ((newest,),) = self._store.rows(
            "SELECT max(id) FROM decision WHERE kind = 'forget' AND kind <> 'enroll'"  # by an index
        )
        return None if newest is None else int(newest)

    def last(self) -> int | None:
        """Return the newest decision that was not undone and is no undoing itself."""
        undone = self.undone()
        decisions = self._store.rows(
            "SELECT id FROM decision WHERE kind NOT IN ('undo', 'forget') ORDER BY id DESC"
        )
        return next((decision for (decision,) in decisions if decision not in undone), None)

    def on(self, table: str, row: int) -> list[DecisionRow]:
        """Return the decisions that changed a row, newest first."""
        found = "instr(payload, ?)"
        values: list[str | int] = [key(table, row)]
        if table == "person":  # what others have got from or to them matters as well
            found = f"{found} OR {about((row,))}"
            values += [row, row]
        elif table == "face":
            found = f"{found} OR face_id = ?"
            values += [row]
        elif table == "photo":
            found = f"{found} OR face_id IN (SELECT id FROM face WHERE photo_id = ?)"
            values += [row]
        return self.select(f"{found} ORDER BY id DESC", values)

    def enrollments(
        self, decisions: Iterable[int]
    ) -> dict[int, tuple[int, str | None, str | None]]:
        """Return enrollment -> (person id, their name, photo path), as far as they are there.

        The person is who was enrolled, whoever has the face by now.
        """
        rows = self._store.rows_for(
            "SELECT decision.id, decision.person_id, name, path "
            "FROM decision LEFT JOIN face ON face.id = face_id "
            "LEFT JOIN person ON person.id = decision.person_id "
            "LEFT JOIN photo ON photo.id = photo_id WHERE decision.id IN (?)",
            decisions,
        )
        return {decision: (person, name, path) for decision, person, name, path in rows}

    def first_about(self, person_id: int) -> int | None:
        """Return the decision by which a person came to the gallery."""
        ((first,),) = self._store.rows(
            f"SELECT min(id) FROM decision WHERE {about((person_id,))}", (person_id, person_id)
        )
        return None if first is None else int(first)

    # Who became whom

    def became(self, person_id: int) -> set[int]:
        """Return a person's id and those of people who are gone and whose faces they have.

        Those who were merged into them, or split off and the split undone: whom the last decision
        about them gave to this person.
        """
        found, new = {person_id}, {person_id}
        while new:
            others = self._store.rows(
                "SELECT DISTINCT other.person_id FROM decision JOIN decision_person AS other "
                f"ON decision_id = decision.id WHERE decision.person_id IN ({marks(new)}) "
                "AND other.person_id NOT IN (SELECT id FROM person)",
                [*new],
            )
            new = {p for (p,) in others if p not in found and self._heir(p) in found}
            found |= new
        return found

    def _heir(self, person_id: int) -> int:
        """Return who was given what was a person's who is gone; themselves if nobody was."""
        ((_, heir),) = self._store.rows(
            f"SELECT max(id), person_id FROM decision WHERE {about((person_id,))}",
            (person_id, person_id),
        )
        return int(heir or person_id)

    def _last_heir(self, person_id: int) -> int:
        while (heir := self._heir(person_id)) != person_id:
            person_id = heir
        return person_id

    def gone_person(self, name: str) -> int | None:
        """Return the id of somebody called `name` of whom nothing but decisions is left, or None.

        Not of somebody who became another person.
        """
        for _, change in self._changes_of_name(name):
            if not self._store.names([change.id, self._last_heir(change.id)]):
                return change.id
        return None

    def merged(self, name: str) -> tuple[int, int] | None:
        """Return the number of the decision that merged who was called `name`, and into whom.

        The id is that of who has their faces now. None if nobody was, or it is undone.
        """
        seen: set[int] = set()
        for row, change in self._changes_of_name(name):
            if change.after is not None or change.id in seen or self._store.names([change.id]):
                continue
            seen.add(change.id)
            first = row
            while first.undoes is not None:  # what was undone and redone counts as done
                (first,) = self.select("id = ?", (first.undoes,))
            heir = self._last_heir(change.id)
            if first.kind == "merge" and self._store.names([heir]):
                return first.run, heir
        return None

    def _changes_of_name(self, name: str) -> list[tuple[DecisionRow, Change]]:
        """Return what became of people who were called `name`, newest first."""
        wanted = pack({"name": name}).removeprefix("{").removesuffix("}")
        return [
            (row, change)
            for row in self.select(
                "kind <> 'enroll' AND instr(payload, ?) ORDER BY id DESC", (wanted,)
            )
            for change in row.changes
            if change.table == "person"
            and any(state and state.get("name") == name for state in change[2:])
        ]

    def last_name(self, person_id: int) -> str | None:
        """Return what somebody who is gone was called, None if nothing tells it any more."""
        for row in self.on("person", person_id):
            for change in reversed(row.changes):
                if change[:2] == ("person", person_id):
                    state = change.after or change.before or {}
                    return str(state["name"]) if "name" in state else None
        return None


def about(people: Sequence[int]) -> str:
    """Return the condition on `decision` that it is about one of `people`, given twice."""
    others = f"SELECT decision_id FROM decision_person WHERE person_id IN ({marks(people)})"
    return f"(person_id IN ({marks(people)}) OR id IN ({others}))"


def marks(values: Iterable[int]) -> str:
    """Return a question mark for each of `values`, as SQL has it."""
    return ",".join("?" for _ in values)
