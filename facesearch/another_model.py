"""A gallery made with one model -> the same gallery made with another.

Templates of two models cannot be compared, so every enrolled face is looked at again on its photo.
Who is who, and all that was decided, stays as it is.
"""

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from facesearch.duplicates.photo_cache import FileState, remove_cache
from facesearch.errors import FacesearchError, PhotoError, Refused
from facesearch.gallery import gallery_file, index_folder
from facesearch.identification import NO_CROPS, Seen, look
from facesearch.manifest import subject
from facesearch.model import Model
from facesearch.parallel import in_order
from facesearch.photo import read_photo
from facesearch.review.groups import SeenBefore, state_of
from facesearch.storage.decisions import DecisionLog, DecisionRow
from facesearch.storage.journal import Journal, pack
from facesearch.storage.store import BOX_COLUMNS, Box, Store, same_place
from facesearch.vectors import Floats

TOLD = 3  # faces that a refusal names


@dataclass(frozen=True, slots=True)
class LostFace:
    """An enrolled face that the other model has not seen."""

    person: str
    photo: str | None  # None: the gallery does not know where it is
    why: str


@dataclass(frozen=True, slots=True)
class Migration:
    """What became of a gallery."""

    former: str  # the name of the model that had made it
    templates: int  # made anew; 0 if the model is the same
    left_out: tuple[LostFace, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a face is that has a template, or had one before it was taken out."""

    content_hash: str
    path: str | None
    box: Box


def migrate_gallery(
    path: str | os.PathLike[str],
    model: Model,
    *,
    leave_out: bool = False,
    workers: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> Migration:
    """Make the templates of the gallery at `path` anew with `model`; return what became of it.

    All of it is stored in one step at the end: until then the gallery is as it was, and a run that
    was interrupted goes on where it stopped. Faces that cannot be seen again, since their photo is
    gone or has changed, are Refused; with `leave_out` they are taken out, as one decision. So that
    it can be undone, faces that earlier decisions took out are made anew as well where that is
    possible. `advance` is called after each photo. Raises GalleryError.
    """
    file = gallery_file(path)
    with closing(
        Store.open(file, model=model.name, fingerprint=model.fingerprint, create=False)
    ) as store:
        former = store.about()
        if former["fingerprint"] == model.fingerprint:
            return Migration(former["model"], 0, ())
        with store.transaction():
            pass  # fails here, not after hours, if it must
        log = DecisionLog(store)
        memory_file = index_folder(file) / "migration.cache"
        memory = SeenBefore(memory_file, model.fingerprint)
        seen: dict[str, Seen | FacesearchError] = {}  # content hash -> what its photo shows
        with closing(memory):
            while True:
                missing = [p for p in photos_in(store, log).items() if p[0] not in seen]
                for content_hash, shown in seen_or_remembered(missing, model, memory, workers):
                    seen[content_hash] = shown
                    advance()
                with store.transaction():
                    if photos_in(store, log).keys() <= seen.keys():  # no more came meanwhile
                        made, lost = store_anew(store, log, model, seen, leave_out=leave_out)
                        break
        remove_cache(memory_file)
        for index in index_folder(file).glob("*.index"):
            index.unlink(missing_ok=True)  # of the former templates; it is not asked any more
        return Migration(former["model"], made, lost)


def photos_to_see(path: str | os.PathLike[str], model: Model) -> int:
    """Return how many photos `migrate_gallery` has to look at; raises GalleryError."""
    file = gallery_file(path)
    with closing(
        Store.open(file, model=model.name, fingerprint=model.fingerprint, create=False)
    ) as store:
        return len(photos_in(store, DecisionLog(store)))


def seen_or_remembered(
    photos: Iterable[tuple[str, str | None]], model: Model, memory: SeenBefore, workers: int
) -> Iterator[tuple[str, Seen | FacesearchError]]:
    """Yield for each (content hash, path) what the photo shows, or why that cannot be told."""

    def jobs() -> Iterator[tuple[str, str | None, FileState | None, Seen | None]]:
        for content_hash, path in photos:
            state = None if path is None else state_of(path)
            known = memory.recall(path, state) if path is not None and state is not None else None
            same = known is not None and known.content_hash == content_hash
            yield content_hash, path, state, known if same else None

    for (content_hash, path, state, known), seen in in_order(
        lambda job: job[3] or look_again(job[0], job[1], model), jobs(), workers
    ):
        if known is None and path is not None and state is not None and isinstance(seen, Seen):
            memory.keep(path, state, seen)
        yield content_hash, seen


def look_again(content_hash: str, path: str | None, model: Model) -> Seen | FacesearchError:
    """Return what a photo shows, without crops; or why that cannot be told."""
    if path is None:
        return PhotoError("nobody knows where the photo is")
    try:
        photo = read_photo(path)
        if photo.content_hash != content_hash:
            return PhotoError(f"cannot read {path}: it is another picture by now")
        return replace(look(photo, model, as_reference=True), crops=NO_CROPS)
    except FacesearchError as error:
        return error


def photos_in(store: Store, log: DecisionLog) -> dict[str, str | None]:
    """Return content hash -> path of the photos of all faces, those that decisions hold too."""
    decisions = decisions_with_templates(log)
    every = photos_by_id(store, decisions)
    noted = [place for row in decisions for place in noted_faces(row, every).values() if place]
    return {place.content_hash: place.path for place in noted} | dict(
        store.rows("SELECT content_hash, path FROM photo")
    )


def decisions_with_templates(log: DecisionLog) -> list[DecisionRow]:
    """Return the decisions that took faces out, and so hold templates."""
    return log.select("kind <> 'enroll' AND instr(payload, ?)", ('"vector":',))


def photos_by_id(
    store: Store, decisions: Iterable[DecisionRow]
) -> dict[int, tuple[str, str | None]]:
    """Return id -> (content hash, path) of all photos, those that decisions took out too."""
    photos = {
        change.id: (str(change.before["content_hash"]), change.before["path"])
        for row in decisions
        for change in row.changes
        if change.table == "photo" and change.before
    }
    for photo, content_hash, path in store.rows("SELECT id, content_hash, path FROM photo"):
        photos[photo] = (content_hash, path)
    return photos


def noted_faces(
    row: DecisionRow, photos: dict[int, tuple[str, str | None]]
) -> dict[int, _Place | None]:
    """Return id -> place of the faces that a decision took out; None: its photo is forgotten."""
    found: dict[int, _Place | None] = {}
    for change in row.changes:
        if change.table == "face" and change.before and change.after is None:
            photo = photos.get(change.before["photo_id"])
            left, top, right, bottom = (change.before[column] for column in BOX_COLUMNS)
            found[change.id] = _Place(*photo, (left, top, right, bottom)) if photo else None
    return found


def store_anew(
    store: Store,
    log: DecisionLog,
    model: Model,
    seen: dict[str, Seen | FacesearchError],
    *,
    leave_out: bool,
) -> tuple[int, tuple[LostFace, ...]]:
    """Replace all templates; return how many, and who was lost. Call inside a transaction."""
    lost: list[LostFace] = []
    journals: dict[int, Journal] = {}  # person id -> what goes of them
    rows = store.rows(
        f"SELECT template.id, face.id, person.id, name, path, content_hash, "
        f"{', '.join(BOX_COLUMNS)} FROM template JOIN face ON face.id = face_id "
        "JOIN photo ON photo.id = photo_id JOIN person ON person.id = person_id"
    )
    for template, face, person, name, path, content_hash, left, top, right, bottom in rows:
        found = embedding_at((left, top, right, bottom), seen[content_hash], model)
        if isinstance(found, str):
            lost.append(LostFace(name, path, found))
            store.remove_face(journals.setdefault(person, store.journal()), face)
            continue
        store.db.execute(
            "UPDATE template SET fingerprint = ?, vector = ? WHERE id = ?",
            (model.fingerprint, stored(found), template),
        )
    if lost and not leave_out:
        raise Refused(refusal(lost, subject(model.manifest)))
    decisions = decisions_with_templates(log)
    photos = photos_by_id(store, decisions)
    for row in decisions:
        payload = with_templates_anew(row, noted_faces(row, photos), seen, model)
        store.db.execute("UPDATE decision SET payload = ? WHERE id = ?", (pack(payload), row.id))
    log_left_out(store, log, journals, model)
    # whoever has the gallery open, with the former model, takes nothing from memory any more
    store.db.execute(
        "UPDATE gallery SET generation = ?, model = ?, fingerprint = ?",
        (secrets.token_hex(8), model.name, model.fingerprint),
    )
    return len(rows) - len(lost), tuple(lost)


def log_left_out(
    store: Store, log: DecisionLog, journals: dict[int, Journal], model: Model
) -> None:
    """Append to the log who was left out: one decision a person, all told and undone as one."""
    first: int | None = None
    what, names = subject(model.manifest), store.names(journals)
    for person, journal in journals.items():
        n_faces = sum(change.table == "face" for change in journal.changes)
        faces = f"{n_faces:,} {what}{'s' * (n_faces > 1)}"
        summary = f"left out {faces} of {names[person]}, which {model.name} has not seen"
        payload = {"summary": summary, "changes": journal.changes}
        row = log.append("leave-out", person_id=person, payload=payload, run=first)
        first = first or row.id


def embedding_at(box: Box, seen: Seen | FacesearchError, model: Model) -> Floats | str:
    """Return the embedding (dim,) of the face at `box`, or why there is none."""
    if not isinstance(seen, Seen):
        return str(seen)
    for face, embedding in zip(seen.faces, seen.embeddings, strict=True):
        if same_place(face.box, box):
            found: Floats = embedding
            return found
    return f"the {subject(model.manifest)} is not found again"


def stored(embedding: Floats) -> bytes:
    """Return a template as the gallery file holds it."""
    return embedding.astype("<f2").tobytes()


def with_templates_anew(
    row: DecisionRow,
    faces: dict[int, _Place | None],
    seen: dict[str, Seen | FacesearchError],
    model: Model,
) -> dict[str, Any]:
    """Return the payload of a decision with the templates that it holds made anew.

    Where that cannot be, the former stays: undoing such a decision is refused, and works again
    when the gallery is of that model again.
    """
    changes = []
    for change in row.changes:
        taken_out = change.before if change.table == "template" else None
        place = faces.get(taken_out["face_id"]) if taken_out else None
        if taken_out and place:
            found = embedding_at(place.box, seen[place.content_hash], model)
            if not isinstance(found, str):
                anew = {"fingerprint": model.fingerprint, "vector": stored(found)}
                change = change._replace(before={**taken_out, **anew})
        changes.append(change)
    return {**row.payload, "changes": changes}


def refusal(lost: list[LostFace], what: str) -> str:
    """Return the sentence that says which faces stand in the way."""
    some = "; ".join(f"{face.person}: {face.why}" for face in lost[:TOLD])
    more = f"; and {len(lost) - TOLD:,} more" if len(lost) > TOLD else ""
    return (
        f"{len(lost):,} {what}{'s' * (len(lost) > 1)} cannot be seen again ({some}{more}); "
        "nothing was changed; bring the photos back, or take these out"
    )
