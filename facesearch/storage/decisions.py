"""The log of decisions: what was decided about whom, and what undid it.

It is appended to; only forgetting deletes entries. Decisions that were made together (those of one
`enroll`, of several merges, and of undoing them) are a run: listed and undone as one, under the
number of the first.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from facesearch.storage.database import Database, damaged, marks
from facesearch.storage.journal import TWICE_ON_PURPOSE, Change, key, pack, unpack
from facesearch.storage.people import People
from facesearch.storage.photos import Photos
from facesearch.storage.rows import now

RUN = "coalesce(run, id)"  # the number of a decision's run; indexed
# The decisions of the same run as decision ?; takes the number twice, as it may be forgotten
SAME_RUN = f"{RUN} = coalesce((SELECT {RUN} FROM decision WHERE id = ?), ?)"


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """An entry of the log of decisions."""

    id: int
    made_at: str
    made_by: str  # "human" or "machine"
    kind: str
    person_id: int | None  # who has, after the decision, the faces it was about
    face_id: int | None
    payload: dict[str, Any]  # "summary", "changes", perhaps "photo": (content hash, path)
    undoes: int | None
    run: int  # the number under which it is listed and undone

    @property
    def changes(self) -> list[Change]:
        """The row changes that it made; an enrollment notes none."""
        changes: list[Change] = self.payload["changes"]
        return changes

    @property
    def faces(self) -> set[int]:
        """The ids of the faces that it changed; see `changes`."""
        return {change.id for change in self.changes if change.table == "face"}

    @property
    def confirms_one_face(self) -> bool:
        """Whether a human looked at one face and confirmed it, not a whole group."""
        return self.kind == "confirm" and len(self.faces) == 1


class DecisionLog:
    """The rows of the tables decision and decision_person; append inside a transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._people = People(db)
        self._photos = Photos(db)

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

        `person_id` is whom it is about; of several, the one who has the faces after it. `others`
        are the other people. `run` is the first decision of the run, None if this is the first.
        """
        row: dict[str, Any] = {"made_at": now(), "made_by": made_by, "kind": kind}
        row |= {"person_id": person_id, "face_id": face_id, "undoes": undoes}
        payload = payload or {}
        number = self._db.insert("decision", {**row, "payload": pack(payload), "run": run})
        self._db.executemany(
            "INSERT INTO decision_person VALUES (?, ?)", [(number, other) for other in {*others}]
        )
        return DecisionRow(id=number, **row, payload={"changes": [], **payload}, run=run or number)

    def rewrite(self, number: int, payload: dict[str, Any]) -> None:
        """Store another payload of a decision, whose kind and people stay."""
        self._db.execute("UPDATE decision SET payload = ? WHERE id = ?", (pack(payload), number))

    # Reading

    def _select(self, where: str, values: Sequence[Any] = ()) -> list[DecisionRow]:
        """Return the decisions that an SQL condition selects; raises GalleryError."""
        rows = self._db.rows(
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
            raise damaged(self._db.path, error) from error

    def run_of(self, number: int) -> list[DecisionRow]:
        """Return the decisions of the run that decision `number` belongs to, in order.

        An empty list if there is no decision with that number.
        """
        return self._select(f"{SAME_RUN} ORDER BY id", (number, number))

    def summary_rows(self, number: int) -> list[DecisionRow]:
        """Return the decisions of a run that its summary is made of, in order.

        All of them; of an `enroll`, which may be a run of 100,000, the first, see
        `enrollment_counts`.
        """
        first = self._select(f"{SAME_RUN} ORDER BY id LIMIT 1", (number, number))
        return first if first and first[0].kind == "enroll" else self.run_of(number)

    def enrollment_counts(self, run: int, most: int) -> tuple[int, int, list[int]]:
        """Return how many faces a run of enrollments stored, of how many people, and whose.

        Of the people at most `most` ids, as a rule the first.
        """
        ((n_faces, n_people),) = self._db.rows(
            f"SELECT count(*), count(DISTINCT person_id) FROM decision WHERE {RUN} = ?", (run,)
        )
        people = self._db.rows(
            f"SELECT DISTINCT person_id FROM decision WHERE {RUN} = ? LIMIT ?", (run, most)
        )
        return n_faces, n_people, [person for (person,) in people]

    def newest(
        self, person_id: int | None = None, *, limit: int | None = None
    ) -> list[list[DecisionRow]]:
        """Return the newest runs: all, or those about a person or about who was merged into them.

        Each has the decisions of `summary_rows`, those about other people included.
        """
        where: str = "1"
        values: tuple[int, ...] = ()
        if person_id is not None:
            people = tuple(self.with_predecessors(person_id))
            where, values = about(people), people * 2
        runs = self._db.rows(
            f"SELECT {RUN} AS number FROM decision WHERE {where} "
            "GROUP BY number ORDER BY number DESC LIMIT ?",
            (*values, -1 if limit is None else limit),
        )
        return [self.summary_rows(number) for (number,) in runs]

    def of_kinds(self, *kinds: str) -> list[DecisionRow]:
        """Return the decisions of these kinds, in order."""
        return self._select(f"kind IN ({marks(kinds)}) ORDER BY id", kinds)

    def with_changes(self) -> list[DecisionRow]:
        """Return the decisions that note their changes, in order: all but enrollments."""
        return self._select("kind <> 'enroll' ORDER BY id")

    def with_templates(self) -> list[DecisionRow]:
        """Return the decisions that removed faces, and so hold templates."""
        return self._select("kind <> 'enroll' AND instr(payload, ?)", ('"vector":',))

    def about_people(self, people: Iterable[int]) -> list[DecisionRow]:
        """Return the decisions about any of `people` that note their changes."""
        ids = tuple(people)
        return self._select(f"{about(ids)} AND kind <> 'enroll'", ids * 2)

    def other_people(self, number: int) -> list[int]:
        """Return the ids of the people whom a decision is about besides its `person_id`."""
        sql = "SELECT person_id FROM decision_person WHERE decision_id = ?"
        return [person for (person,) in self._db.rows(sql, (number,))]

    def undone(self) -> dict[int, int]:
        """Return the id of every undone decision, and the number of the run that undid it."""
        undone: dict[int, int] = {}
        undoings = (
            f"SELECT id, undoes, {RUN} FROM decision WHERE undoes IS NOT NULL ORDER BY id DESC"
        )
        for undoing, decision, number in self._db.rows(undoings):
            if undoing not in undone:  # an undoing that is undone itself undoes nothing
                undone[decision] = number
        return undone

    def newest_number(self) -> int | None:
        """Return the number of the newest decision of all."""
        ((newest,),) = self._db.rows("SELECT max(id) FROM decision")
        return None if newest is None else int(newest)

    def newest_forgetting(self) -> int | None:
        """Return the number of the newest decision that forgot a person."""
        ((newest,),) = self._db.rows(
            "SELECT max(id) FROM decision WHERE kind = 'forget' AND kind <> 'enroll'"  # by an index
        )
        return None if newest is None else int(newest)

    def last_to_undo(self) -> int | None:
        """Return the newest decision that is not undone and is not an undoing itself."""
        undone = self.undone()
        decisions = self._db.rows(
            "SELECT id FROM decision WHERE kind NOT IN ('undo', 'forget') ORDER BY id DESC"
        )
        return next((decision for (decision,) in decisions if decision not in undone), None)

    def is_twice_on_purpose(self, *faces: int) -> bool:
        """Return whether a human said of any of these faces that its person is there twice."""
        marks = ", ".join("?" * len(faces))
        return bool(self._db.rows(f"{TWICE_ON_PURPOSE} WHERE face IN ({marks}) LIMIT 1", faces))

    def that_changed(self, table: str, row: int) -> list[DecisionRow]:
        """Return the decisions that changed a row, or what it refers to, newest first."""
        found = "instr(payload, ?)"
        values: list[str | int] = [key(table, row)]
        if table == "person":  # faces that moved from or to them are changed faces of others
            found = f"{found} OR {about((row,))}"
            values += [row, row]
        elif table == "face":
            found = f"{found} OR face_id = ?"
            values += [row]
        elif table == "photo":
            found = f"{found} OR face_id IN (SELECT id FROM face WHERE photo_id = ?)"
            values += [row]
        return self._select(f"{found} ORDER BY id DESC", values)

    def enrollments(
        self, decisions: Iterable[int]
    ) -> dict[int, tuple[int, str | None, str | None]]:
        """Return enrollment -> (person id, their name, photo path), None for what is gone.

        The person is who was enrolled, even if the face was given to another since.
        """
        rows = self._db.rows_for(
            "SELECT decision.id, decision.person_id, name, path "
            "FROM decision LEFT JOIN face ON face.id = face_id "
            "LEFT JOIN person ON person.id = decision.person_id "
            "LEFT JOIN photo ON photo.id = photo_id WHERE decision.id IN (?)",
            decisions,
        )
        return {decision: (person, name, path) for decision, person, name, path in rows}

    def first_about(self, person_id: int) -> int | None:
        """Return the decision that brought a person into the gallery."""
        ((first,),) = self._db.rows(
            f"SELECT min(id) FROM decision WHERE {about((person_id,))}", (person_id, person_id)
        )
        return None if first is None else int(first)

    def hashes(self) -> set[str]:
        """Return every SHA-256, in hex, that stands in a decision: that is, keys of photos."""
        rows = self._db.rows("SELECT payload FROM decision")
        return {found for (payload,) in rows for found in re.findall(r"\b[0-9a-f]{64}\b", payload)}

    def photos_by_id(self, decisions: Iterable[DecisionRow]) -> dict[int, tuple[str, str | None]]:
        """Return id -> (content hash, path) of all photos, those that `decisions` removed too."""
        removed = {
            change.id: (str(change.before["content_hash"]), change.before["path"])
            for row in decisions
            for change in row.changes
            if change.table == "photo" and change.before
        }
        return removed | self._photos.by_id()

    # Who was merged into whom

    def with_predecessors(self, person_id: int) -> set[int]:
        """Return a person's id and the ids of people who are gone and whose faces they have.

        Those who were merged into them, or split off and the split undone: the last decision about
        each of them gave their faces to this person.
        """
        found, new = {person_id}, {person_id}
        while new:
            others = self._db.rows(
                "SELECT DISTINCT other.person_id FROM decision JOIN decision_person AS other "
                f"ON decision_id = decision.id WHERE decision.person_id IN ({marks(new)}) "
                "AND other.person_id NOT IN (SELECT id FROM person)",
                [*new],
            )
            new = {p for (p,) in others if p not in found and self._successor(p) in found}
            found |= new
        return found

    def _successor(self, person_id: int) -> int:
        """Return who was given the faces of a person who is gone; themselves if nobody was."""
        ((_, successor),) = self._db.rows(
            f"SELECT max(id), person_id FROM decision WHERE {about((person_id,))}",
            (person_id, person_id),
        )
        return int(successor or person_id)

    def _last_successor(self, person_id: int) -> int:
        while (successor := self._successor(person_id)) != person_id:
            person_id = successor
        return person_id

    def gone_person(self, name: str) -> int | None:
        """Return the id of a person called `name` of whom only decisions are left, else None.

        Not of a person who was merged into another.
        """
        for _, change in self._changes_of_name(name):
            if not self._people.names_of([change.id, self._last_successor(change.id)]):
                return change.id
        return None

    def merge_of(self, name: str) -> tuple[int, int] | None:
        """Return the decision that merged the person called `name`, and who has their faces now.

        The number of its run, and a person id. None if nobody was merged, or that is undone.
        """
        seen: set[int] = set()
        for row, change in self._changes_of_name(name):
            exists = bool(self._people.names_of([change.id]))
            if change.after is not None or change.id in seen or exists:
                continue
            seen.add(change.id)
            first = row
            while first.undoes is not None:  # a merge that was undone and redone counts
                (first,) = self._select("id = ?", (first.undoes,))
            successor = self._last_successor(change.id)
            if first.kind == "merge" and self._people.names_of([successor]):
                return first.run, successor
        return None

    def _changes_of_name(self, name: str) -> list[tuple[DecisionRow, Change]]:
        """Return the changes of people who are or were called `name`, newest first."""
        wanted = pack({"name": name}).removeprefix("{").removesuffix("}")
        return [
            (row, change)
            for row in self._select(
                "kind <> 'enroll' AND instr(payload, ?) ORDER BY id DESC", (wanted,)
            )
            for change in row.changes
            if change.table == "person"
            and any(state and state.get("name") == name for state in change[2:])
        ]

    def last_known_name(self, person_id: int) -> str | None:
        """Return the last name of a person who is gone, None if no decision notes it."""
        for row in self.that_changed("person", person_id):
            for change in reversed(row.changes):
                if change[:2] == ("person", person_id):
                    state = change.after or change.before or {}
                    return str(state["name"]) if "name" in state else None
        return None

    # Forgetting

    def ids_about(self, people: Iterable[int]) -> set[int]:
        """Return the ids of the decisions about any of `people`, or about a face of theirs."""
        ids = tuple(people)
        rows = self._db.rows(
            f"SELECT id FROM decision WHERE {about(ids)} "
            f"OR face_id IN (SELECT id FROM face WHERE person_id IN ({marks(ids)}))",
            ids * 3,
        )
        return {number for (number,) in rows}

    def delete(self, decisions: Iterable[int]) -> int:
        """Delete decisions, with all that undid them or that they undo; return how many went.

        So what is left can be undone, and nothing is called undone that is not.
        """
        gone = set(decisions)
        undoings = self._db.rows("SELECT id, undoes FROM decision WHERE undoes IS NOT NULL")
        size = -1
        while size != len(gone):
            size = len(gone)
            for pair in undoings:
                if gone.intersection(pair):
                    gone.update(pair)
        numbers = [(number,) for number in gone]
        # rows that refer to each other: an undoing goes with what it undid
        self._db.executemany("UPDATE decision SET undoes = NULL WHERE id = ?", numbers)
        self._db.executemany("DELETE FROM decision WHERE id = ?", numbers)
        return len(gone)


def about(people: Sequence[int]) -> str:
    """Return the condition on `decision` that it is about one of `people`, given twice."""
    others = f"SELECT decision_id FROM decision_person WHERE person_id IN ({marks(people)})"
    return f"(person_id IN ({marks(people)}) OR id IN ({others}))"
