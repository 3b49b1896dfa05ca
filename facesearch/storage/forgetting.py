"""Forgetting a person: which rows go, and what is blanked in what others have left."""

import re
import unicodedata
from collections.abc import Iterable, Set
from dataclasses import dataclass

from facesearch.storage.decisions import DecisionLog, DecisionRow, about, marks
from facesearch.storage.journal import pack
from facesearch.storage.store import BOX_COLUMNS, Box, Store, same_place


@dataclass(frozen=True, slots=True)
class Traces:
    """By what a person can be told in what is left of others; see `forget_person`."""

    people: set[int]  # theirs, and of who became them
    names: set[str]  # all they ever had
    places: dict[str, list[Box]]  # content hash of a photo -> where they are, or were, on it
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
    rows = rows_to_delete(store, person_id, traces)
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


def rows_to_delete(store: Store, person_id: int, traces: Traces) -> list[tuple[str, int]]:
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
    }
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


def traces_of(store: Store, log: DecisionLog, person_id: int) -> Traces:
    """Return by what a person can be told in the paths and decisions that others have left."""
    people = log.became(person_id)
    places: dict[str, list[Box]] = {}
    for _, face in store.faces_of(person_id):
        places.setdefault(face.content_hash, []).append(face.box)
    for photo, box in places_left(store, log, person_id, people):
        places.setdefault(photo, []).append(box)
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


def places_left(
    store: Store, log: DecisionLog, person_id: int, people: Set[int]
) -> list[tuple[str, Box]]:
    """Return (content hash, box) of faces that were a person's, or of `people`, when they went.

    Not those that a human said since to be somebody else's, or not theirs.
    """
    noted = log.select("kind <> 'enroll' ORDER BY id")
    photos = content_hashes(store, noted)
    went: dict[str, list[tuple[Box, int]]] = {}  # and whose each was: the last counts
    for change in (change for row in noted for change in row.changes):
        if change.table == "face" and change.before and change.after is None:
            photo = photos.get(change.before["photo_id"], "")
            left, top, right, bottom = (change.before[column] for column in BOX_COLUMNS)
            box = (left, top, right, bottom)
            others = [there for there in went.get(photo, []) if not same_place(there[0], box)]
            went[photo] = [*others, (box, change.before["person_id"])]

    def is_said_not_to_be(photo: str, box: Box) -> bool:
        others = [f.box for f in store.known_faces(photo) if f.person_id != person_id]
        others += [r.box for r in store.rejections(photo) if r.person_id == person_id]
        return any(same_place(box, other) for other in others)

    return [
        (photo, box)
        for photo, some in went.items()
        for box, person in some
        if person in people and not is_said_not_to_be(photo, box)
    ]


def content_hashes(store: Store, noted: Iterable[DecisionRow]) -> dict[int, str]:
    """Return photo id -> content hash, also of those that decisions took out."""
    photos: dict[int, str] = dict(store.rows("SELECT id, content_hash FROM photo"))
    for change in (change for row in noted for change in row.changes):
        if change.table == "photo" and change.before:
            photos[change.id] = change.before["content_hash"]
    return photos


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
    photos = content_hashes(store, noted)
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
