"""Forgetting a person: which rows go, and what is blanked in the decisions that remain."""

import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass

from facesearch.boxes import Box, same_place
from facesearch.storage.decisions import DecisionRow
from facesearch.storage.rows import box_of
from facesearch.storage.store import Store


@dataclass(frozen=True, slots=True)
class Traces:
    """What reveals a person in the rows that remain of others; see `forget_person`."""

    people: set[int]  # their id, and the ids of people who were merged into them
    names: set[str]  # all they ever had
    places: dict[str, list[Box]]  # content hash of a photo -> where they are, or were, in it
    photos: set[str]  # content hashes of photos from which nobody else is enrolled

    def names_in(self, text: str) -> bool:
        """Return whether one of the names is in `text`, as a word of its own."""
        words = "|".join(re.escape(name.casefold()) for name in self.names)
        text = unicodedata.normalize("NFC", text).casefold()
        return bool(self.names) and re.search(rf"(?<!\w)({words})(?!\w)", text) is not None

    def shown(self, content_hash: str, box: Box) -> bool:
        """Return whether the face at `box` of a photo is theirs, or may be: the photo is."""
        places = self.places.get(content_hash, [])
        return content_hash in self.photos or any(same_place(box, place) for place in places)

    def shown_or_named(self, content_hash: str, path: str) -> bool:
        """Return whether a photo shows them, or its path names them."""
        return content_hash in self.places or self.names_in(path)

    def revealed_by(self, decision: DecisionRow, photos: dict[int, tuple[str, str | None]]) -> bool:
        """Return whether a decision about others reveals them; `photos` as of `photos_by_id`."""
        rows = [state for change in decision.changes for state in change[2:] if state]
        for state in rows:
            texts = [value for value in state.values() if isinstance(value, str)]
            if any(value in self.photos or self.names_in(value) for value in texts):
                return True
            if "box_left" in state:
                content_hash = state.get("content_hash") or hash_of(state["photo_id"], photos)
                if self.shown(content_hash, box_of(state)):
                    return True
        return self.names_in(decision.payload.get("summary", ""))


def forget_person(store: Store, person_id: int) -> dict[str, int]:
    """Delete a person and every row that is there only because of them; return what went.

    Call inside a transaction, and `Store.erase` after it: only then are the bytes gone from the
    disk. Until that is done `erasure_is_due`, also for a program that opens the file after a crash.
    """
    traces = traces_of(store, person_id)
    blank_paths(store, person_id, traces)
    rows = rows_to_delete(store, person_id, traces)
    n_decisions = forget_decisions(store, traces, set(rows))
    for table, row in rows:
        store.db.execute(f"DELETE FROM {table} WHERE id = ?", (row,))
    store.pictures.forget_unused(store.decisions.hashes())
    store.decisions.append("forget")
    store.db.execute("INSERT INTO scrub_due DEFAULT VALUES")
    tables = [table for table, _ in rows]
    return {
        "templates": tables.count("template"),
        "photos": tables.count("photo"),
        "decisions": n_decisions,
    }


def rows_to_delete(store: Store, person_id: int, traces: Traces) -> list[tuple[str, int]]:
    """Return table and id of all that goes with a person but decisions, referring rows first."""

    def found(table: str, condition: str, *values: str | int) -> list[tuple[str, int]]:
        rows = store.db.rows(f"SELECT id FROM {table} WHERE {condition}", values)
        return [(table, row) for (row,) in rows]

    rejections = {r.id for r in store.verdicts.rejections_of(person_id)}
    dismissals = set()
    for content_hash in traces.places:
        said = store.verdicts.of_photo(content_hash)
        rejections |= {r.id for r in said.rejections if traces.shown(content_hash, r.box)}
        dismissals |= {d.id for d in said.dismissals if traces.shown(content_hash, d.box)}
    rows = [
        *found("unnamed_group", "true"),  # any may hold their faces: no row says whose they are
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


def traces_of(store: Store, person_id: int) -> Traces:
    """Return what reveals a person in the paths and decisions that remain of others."""
    people = store.decisions.with_predecessors(person_id)
    places: dict[str, list[Box]] = {}
    for _, face in store.faces.of_person(person_id):
        places.setdefault(face.content_hash, []).append(face.box)
    for content_hash, box in former_places(store, person_id, people):
        places.setdefault(content_hash, []).append(box)
    alone = {
        content_hash
        for content_hash in places
        if all(face.person_id == person_id for face in store.faces.in_photo(content_hash))
    }
    names = set(store.people.names_of(people).values())
    for row in store.decisions.about_people(people):
        for table, person, *states in row.changes:
            if table == "person" and person in people:
                names.update(state["name"] for state in states if state and "name" in state)
    return Traces(people, names, places, alone)


def former_places(store: Store, person_id: int, people: Set[int]) -> list[tuple[str, Box]]:
    """Return (content hash, box) of faces that `people` had when a decision removed the face.

    Not those that a human has since assigned to others than `person_id`, or rejected as them.
    """
    decisions = store.decisions.with_changes()
    photos = store.decisions.photos_by_id(decisions)
    removed: dict[str, list[tuple[Box, int]]] = {}  # content hash -> box and person, the last each
    for change in (change for row in decisions for change in row.changes):
        if change.table == "face" and change.before and change.after is None:
            content_hash, box = hash_of(change.before["photo_id"], photos), box_of(change.before)
            others = [
                other for other in removed.get(content_hash, []) if not same_place(other[0], box)
            ]
            removed[content_hash] = [*others, (box, change.before["person_id"])]

    def is_of_another(content_hash: str, box: Box) -> bool:
        said = store.verdicts.of_photo(content_hash)
        others = [face.box for face in said.enrolled if face.person_id != person_id]
        return person_id in said.rejected_at(box) or any(same_place(box, b) for b in others)

    return [
        (content_hash, box)
        for content_hash, some in removed.items()
        for box, person in some
        if person in people and not is_of_another(content_hash, box)
    ]


def hash_of(photo_id: int, photos: dict[int, tuple[str, str | None]]) -> str:
    """Return the content hash of a photo of `photos_by_id`, "" where it was forgotten."""
    return photos[photo_id][0] if photo_id in photos else ""


def blank_paths(store: Store, person_id: int, traces: Traces) -> None:
    """Delete the paths of the person's photos, and those with their name in them."""
    store.db.execute(
        "UPDATE photo SET path = NULL WHERE id IN (SELECT photo_id FROM face WHERE person_id = ?)",
        (person_id,),
    )
    for photo, (_, path) in store.photos.by_id().items():
        if path is not None and traces.names_in(path):
            store.db.execute("UPDATE photo SET path = NULL WHERE id = ?", (photo,))


def forget_decisions(store: Store, traces: Traces, rows: Set[tuple[str, int]]) -> int:
    """Delete the decisions that are about a person or reveal them; return how many.

    Those about others too, and all that undid them or that they undo. From the other decisions the
    path of a photo is removed, and the changes of `rows`, (table, id), which are about to be
    deleted.
    """
    log = store.decisions
    gone = log.ids_about(traces.people)
    decisions = log.with_changes()
    photos = log.photos_by_id(decisions)
    for row in decisions:
        if row.id in gone:
            continue
        changes = [change for change in row.changes if change[:2] not in rows]
        photo = row.payload.get("photo")
        if traces.revealed_by(row, photos) or (row.changes and not changes):
            gone.add(row.id)
            continue
        if photo and traces.shown_or_named(*photo):
            photo = None
        payload = {**row.payload, "photo": photo, "changes": changes}
        if payload != {"photo": None, **row.payload}:
            log.rewrite(row.id, payload)
    return log.delete(gone)
