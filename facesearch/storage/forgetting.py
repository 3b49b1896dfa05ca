"""Forgetting a person: which rows go, and what is blanked in what others have left."""

import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass

from facesearch.storage.decisions import DecisionLog, DecisionRow, about, marks
from facesearch.storage.journal import pack
from facesearch.storage.store import BOX_COLUMNS, Box, Store, same_place


@dataclass(frozen=True, slots=True)
class Traces:
    """By what a person can be told in what is left of others; see `forget_person`."""

    people: set[int]  # theirs, and of who became them
    names: set[str]  # all they ever had
    places: dict[str, list[Box]]  # content hash of a photo -> where they are on it
    photos: set[str]  # content hashes of photos that show nobody else who is enrolled

    def names_in(self, text: str) -> bool:
        """Return whether one of the names is in `text`, as a word of its own."""
        words = "|".join(re.escape(name.casefold()) for name in self.names)
        text = unicodedata.normalize("NFC", text).casefold()
        return bool(self.names) and re.search(rf"(?<!\w)({words})(?!\w)", text) is not None

    def shown(self, photo: str, box: Box) -> bool:
        """Return whether they are at `box` of the photo with that content hash, or only they."""
        places = self.places.get(photo, [])
        return photo in self.photos or any(same_place(box, place) for place in places)

    def shown_or_named(self, photo: str, path: str) -> bool:
        """Return whether they are on the photo with that content hash, or in its path."""
        return photo in self.places or self.names_in(path)

    def told_by(self, decision: DecisionRow, photos: dict[int, str]) -> bool:
        """Return whether a decision about others tells of them; `photos` gives content hashes."""
        rows = [state for change in decision.changes for state in change[2:] if state]
        for state in rows:
            texts = [value for value in state.values() if isinstance(value, str)]
            if any(value in self.photos or self.names_in(value) for value in texts):
                return True
            if "box_left" in state:
                photo = state.get("content_hash") or photos.get(state["photo_id"], "")
                left, top, right, bottom = (state[column] for column in BOX_COLUMNS)
                if self.shown(photo, (left, top, right, bottom)):
                    return True
        return self.names_in(decision.payload.get("summary", ""))


def forget_person(store: Store, log: DecisionLog, person_id: int) -> dict[str, int]:
    """Delete a person and all that only they were the reason for; return what went.

    Call inside a transaction, and `Store.scrub` after it: only then are the bytes gone from the
    file. Until that is done `scrub_is_due`, also for whoever opens the file after a crash.
    """
    traces = traces_of(store, log, person_id)
    blank_paths(store, person_id, traces)
    rows = rows_to_delete(store, log, person_id, traces)
    n_decisions = forget_decisions(store, log, traces, set(rows))
    for table, row in rows:
        store.db.execute(f"DELETE FROM {table} WHERE id = ?", (row,))
    log.append("forget")
    store.db.execute("INSERT INTO scrub_due DEFAULT VALUES")
    tables = [table for table, _ in rows]
    return {
        "templates": tables.count("template"),
        "photos": tables.count("photo"),
        "decisions": n_decisions,
    }


def rows_to_delete(
    store: Store, log: DecisionLog, person_id: int, traces: Traces
) -> list[tuple[str, int]]:
    """Return table and id of all that goes with a person but decisions, what refers first."""

    def found(table: str, condition: str, *values: str | int) -> list[tuple[str, int]]:
        rows = store.rows(f"SELECT id FROM {table} WHERE {condition}", values)
        return [(table, row) for (row,) in rows]

    rejections = {r.id for r in store.rejections_of(person_id)} | {
        r.id
        for photo in traces.places
        for r in store.rejections(photo)
        if traces.shown(r.content_hash, r.box)
    }
    dismissals = {
        d.id
        for photo in traces.places
        for d in store.dismissals(photo)
        if traces.shown(d.content_hash, d.box)
    } | dismissals_of(log, traces)
    rows = [
        *found("unnamed_group", "true"),  # any may be of theirs: nothing in the file tells
        *found("template", "face_id IN (SELECT id FROM face WHERE person_id = ?)", person_id),
        *found("face", "person_id = ?", person_id),
        *(("rejection", row) for row in sorted(rejections)),
        *(("dismissal", row) for row in sorted(dismissals)),
        *found("not_same", "? IN (person_a, person_b)", person_id),
    ]
    for photo in sorted(traces.photos):
        rows += found("not_same_photo", "? IN (hash_a, hash_b)", photo)
        rows += found("photo", "content_hash = ?", photo)
    return [*rows, *found("person", "id = ?", person_id)]


def dismissals_of(log: DecisionLog, traces: Traces) -> set[int]:
    """Return the ids of dismissals at places where a person was enrolled before or after."""
    people = tuple(traces.people)
    decisions = log.select(f"{about(people)} AND kind <> 'enroll'", people * 2)
    return {change.id for row in decisions for change in row.changes if change.table == "dismissal"}


def traces_of(store: Store, log: DecisionLog, person_id: int) -> Traces:
    """Return by what a person can be told in the paths and decisions that others have left."""
    people = log.became(person_id)
    places: dict[str, list[Box]] = {}
    for _, face in store.faces_of(person_id):
        places.setdefault(face.content_hash, []).append(face.box)
    alone = {
        photo
        for photo in places
        if all(face.person_id == person_id for face in store.known_faces(photo))
    }
    names = set(store.names(people).values())
    values = tuple(people)
    for row in log.select(f"{about(values)} AND kind <> 'enroll'", values * 2):
        for table, person, *states in row.changes:
            if table == "person" and person in people:
                names.update(state["name"] for state in states if state and "name" in state)
    return Traces(people, names, places, alone)


def blank_paths(store: Store, person_id: int, traces: Traces) -> None:
    """Delete the paths that tell of a person: of their photos, and those with their name."""
    store.db.execute(
        "UPDATE photo SET path = NULL WHERE id IN (SELECT photo_id FROM face WHERE person_id = ?)",
        (person_id,),
    )
    for photo, path in store.rows("SELECT id, path FROM photo WHERE path IS NOT NULL"):
        if traces.names_in(path):
            store.db.execute("UPDATE photo SET path = NULL WHERE id = ?", (photo,))


def forget_decisions(
    store: Store, log: DecisionLog, traces: Traces, rows: Set[tuple[str, int]]
) -> int:
    """Delete the decisions that are about a person or tell of them; return how many.

    Those about others too, and all that undid them or that they undo: what is left can be
    undone, what is not is not said to be undone. Of others only the path of a photo goes, and what
    they did to `rows`, (table, id), which are about to be deleted.
    """
    people = tuple(traces.people)
    gone = {
        row[0]
        for row in store.rows(
            f"SELECT id FROM decision WHERE {about(people)} "
            f"OR face_id IN (SELECT id FROM face WHERE person_id IN ({marks(people)}))",
            people * 3,
        )
    }
    noted = log.select("kind <> 'enroll'", ())
    photos: dict[int, str] = dict(store.rows("SELECT id, content_hash FROM photo"))
    for change in (change for row in noted for change in row.changes):
        if change.table == "photo" and change.before:  # one that is not there any more
            photos[change.id] = change.before["content_hash"]
    for row in noted:
        if row.id in gone:
            continue
        changes = [change for change in row.changes if change[:2] not in rows]
        photo = row.payload.get("photo")
        if traces.told_by(row, photos) or (row.changes and not changes):
            gone.add(row.id)
            continue
        if photo and traces.shown_or_named(*photo):
            photo = None
        payload = {**row.payload, "photo": photo, "changes": changes}
        if payload != {"photo": None, **row.payload}:
            store.db.execute(
                "UPDATE decision SET payload = ? WHERE id = ?", (pack(payload), row.id)
            )
    undoings = store.rows("SELECT id, undoes FROM decision WHERE undoes IS NOT NULL")
    size = -1
    while size != len(gone):
        size = len(gone)
        for pair in undoings:
            if gone.intersection(pair):
                gone.update(pair)
    # an undoing is deleted with what it undid, so the reference need not stay until then
    store.db.executemany("UPDATE decision SET undoes = NULL WHERE id = ?", [(d,) for d in gone])
    store.db.executemany("DELETE FROM decision WHERE id = ?", [(d,) for d in gone])
    return len(gone)
