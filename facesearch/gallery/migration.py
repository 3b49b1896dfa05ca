"""A gallery made with one model -> the same gallery made with another.

Templates of two models cannot be compared, so every enrolled face is looked at again in its photo.
Who is who, and everything that was decided, stays as it is.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facesearch.boxes import Box, same_place
from facesearch.duplicates.photo_cache import remove_cache
from facesearch.errors import FacesearchError, PhotoError, Refused
from facesearch.gallery.files import gallery_file, index_folder
from facesearch.gallery.remembered import PhotoAt, seen_or_remembered
from facesearch.identification import Seen, look
from facesearch.manifest import subject
from facesearch.model import Model
from facesearch.photo import read_photo
from facesearch.review.seen import SeenBefore
from facesearch.storage.decisions import DecisionRow
from facesearch.storage.journal import Journal
from facesearch.storage.rows import box_of
from facesearch.storage.store import Store
from facesearch.vectors import Floats
from facesearch_indexes import FaissFiles

MAX_LISTED = 3  # a refusal names this many faces, then "and 7 more"

SeenPhotos = dict[str, Seen | FacesearchError]  # key of a photo -> what it shows


@dataclass(frozen=True, slots=True)
class LostFace:
    """An enrolled face that the other model did not find."""

    person: str
    photo: str | None  # None: the gallery does not know where it is
    why: str


@dataclass(frozen=True, slots=True)
class Migration:
    """What became of a gallery."""

    former: str  # the name of the model that had made it
    templates: int  # made by the other model; 0 if it is the same model
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
    """Replace the templates of the gallery at `path` by those of `model`; return what became of it.

    All of it is stored in one step at the end: until then the gallery is as it was, and an
    interrupted run goes on where it stopped. Raises Refused if faces are not found again, since
    their photo is gone or has changed; with `leave_out` they are taken out, as one decision. Faces
    that earlier decisions took out are looked at too, where possible, so that undoing brings them
    back. `advance` is called after each photo. Raises GalleryError.
    """
    with _opened(path, model) as (file, store):
        former = store.about()
        if former["fingerprint"] == model.fingerprint:
            return Migration(former["model"], 0, ())
        with store.transaction():
            pass  # fails here, not after hours, if it must
        memory_file = index_folder(file) / "migration.cache"
        seen: SeenPhotos = {}
        with closing(SeenBefore(memory_file, model.fingerprint)) as memory:
            while True:
                missing = [
                    PhotoAt(photo_path, key)
                    for key, photo_path in photos_in(store).items()
                    if key not in seen
                ]
                for photo, shown in seen_or_remembered(
                    missing, lambda photo: look_again(photo, model), memory, workers
                ):
                    seen[photo.key or ""] = unless_changed(shown, photo, store)
                    advance()
                with store.transaction():
                    if photos_in(store).keys() <= seen.keys():  # no more came meanwhile
                        made, lost = replace_templates(store, model, seen, leave_out=leave_out)
                        break
        remove_cache(memory_file)
        FaissFiles(index_folder(file)).erase()  # of the former templates: nobody reads it any more
        return Migration(former["model"], made, lost)


def photos_to_see(path: str | os.PathLike[str], model: Model) -> int:
    """Return how many photos `migrate_gallery` has to look at; raises GalleryError."""
    with _opened(path, model) as (_, store):
        return len(photos_in(store))


@contextmanager
def _opened(path: str | os.PathLike[str], model: Model) -> Iterator[tuple[Path, Store]]:
    """Open a gallery that another model may have made."""
    file = gallery_file(path)
    store = Store.open(file, model=model.name, fingerprint=model.fingerprint, create=False)
    with closing(store):
        yield file, store


def look_again(photo: PhotoAt, model: Model) -> Seen | FacesearchError:
    """Return what a photo shows, as references; or why that cannot be said."""
    if photo.path is None:
        return PhotoError("the gallery does not know where this photo is")
    try:
        return look(read_photo(photo.path), model, as_reference=True)
    except FacesearchError as error:
        return error


def unless_changed(
    shown: Seen | FacesearchError, photo: PhotoAt, store: Store
) -> Seen | FacesearchError:
    """Return what a file shows, or an error if that is another picture than the gallery knows."""
    if isinstance(shown, Seen) and store.pictures.kept(shown.picture).key != photo.key:
        return PhotoError(f"cannot read {photo.path}: the file has changed since")
    return shown


def photos_in(store: Store) -> dict[str, str | None]:
    """Return content hash -> path of the photos of all faces, those in past decisions too."""
    decisions = store.decisions.with_templates()
    every = store.decisions.photos_by_id(decisions)
    noted = [place for row in decisions for place in noted_faces(row, every).values() if place]
    return {place.content_hash: place.path for place in noted} | dict(store.photos.by_id().values())


def noted_faces(
    row: DecisionRow, photos: dict[int, tuple[str, str | None]]
) -> dict[int, _Place | None]:
    """Return id -> place of the faces that a decision took out; None: its photo is forgotten."""
    found: dict[int, _Place | None] = {}
    for change in row.changes:
        if change.table == "face" and change.before and change.after is None:
            photo = photos.get(change.before["photo_id"])
            found[change.id] = _Place(*photo, box_of(change.before)) if photo else None
    return found


def replace_templates(
    store: Store, model: Model, seen: SeenPhotos, *, leave_out: bool
) -> tuple[int, tuple[LostFace, ...]]:
    """Replace all templates; return how many, and which faces were lost.

    Call inside a transaction. Raises Refused if faces were lost, unless `leave_out`.
    """
    lost: list[LostFace] = []
    journals: dict[int, Journal] = {}  # person id -> what goes of them
    n_made = 0
    for template, path, face in list(store.faces.of_templates()):
        found = embedding_at(face.box, seen[face.content_hash], store, model)
        if isinstance(found, str):
            lost.append(LostFace(face.person, path, found))
            store.faces.remove(journals.setdefault(face.person_id, store.journal()), face.id)
            continue
        store.templates.replace(template, found, model.fingerprint)
        n_made += 1
    if lost and not leave_out:
        raise Refused(refusal(lost, subject(model.manifest)))
    decisions = store.decisions.with_templates()
    photos = store.decisions.photos_by_id(decisions)
    for row in decisions:
        payload = with_new_templates(row, noted_faces(row, photos), seen, store, model)
        store.decisions.rewrite(row.id, payload)
    for shown in seen.values():
        if isinstance(shown, Seen):
            store.pictures.note(shown.picture)
    log_left_out(store, journals, model)
    store.set_model(model.name, model.fingerprint)
    return n_made, tuple(lost)


def log_left_out(store: Store, journals: dict[int, Journal], model: Model) -> None:
    """Append to the log who was left out: one decision per person, all undone as one."""
    first: int | None = None
    what, names = subject(model.manifest), store.people.names_of(journals)
    for person, journal in journals.items():
        n_faces = sum(change.table == "face" for change in journal.changes)
        faces = f"{n_faces:,} {what}{'s' * (n_faces > 1)}"
        summary = f"left out {faces} of {names[person]}, which {model.name} did not find"
        payload = {"summary": summary, "changes": journal.changes}
        row = store.decisions.append("leave-out", person_id=person, payload=payload, run=first)
        first = first or row.id


def embedding_at(
    box: Box, seen: Seen | FacesearchError, store: Store, model: Model
) -> Floats | str:
    """Return the embedding (dim,) of the face that is kept at `box`, or why there is none."""
    if not isinstance(seen, Seen):
        return str(seen)
    kept = store.pictures.kept(seen.picture)
    for face, embedding in zip(seen.faces, seen.embeddings, strict=True):
        if same_place(kept.box(face.box), box):
            found: Floats = embedding
            return found
    return f"the {subject(model.manifest)} is not found again"


def with_new_templates(
    row: DecisionRow,
    faces: dict[int, _Place | None],
    seen: SeenPhotos,
    store: Store,
    model: Model,
) -> dict[str, Any]:
    """Return the payload of a decision with its templates replaced.

    Where a face is not found, the former template stays: undoing such a decision is refused, and
    works again once the gallery is converted back.
    """
    changes = []
    for change in row.changes:
        taken_out = change.before if change.table == "template" else None
        place = faces.get(taken_out["face_id"]) if taken_out else None
        if taken_out and place:
            found = embedding_at(place.box, seen[place.content_hash], store, model)
            if not isinstance(found, str):
                new = {"fingerprint": model.fingerprint, "vector": store.codec.encode(found)}
                change = change._replace(before={**taken_out, **new})
        changes.append(change)
    return {**row.payload, "changes": changes}


def refusal(lost: list[LostFace], what: str) -> str:
    """Return the sentence that says which faces stand in the way."""
    some = "; ".join(f"{face.person}: {face.why}" for face in lost[:MAX_LISTED])
    more = f"; and {len(lost) - MAX_LISTED:,} more" if len(lost) > MAX_LISTED else ""
    return (
        f"{len(lost):,} {what}{'s' * (len(lost) > 1)} cannot be seen again ({some}{more}); "
        "nothing was changed; bring the photos back, or take these out"
    )
