"""An exported copy -> the gallery that it was made of, or a new one; what was there is kept."""

import os
from contextlib import closing
from pathlib import Path

from facesearch.errors import GalleryError
from facesearch.gallery.files import check_model, gallery_file
from facesearch.gallery.gallery import Gallery
from facesearch.model import Model
from facesearch.storage.restoring import replace_rows
from facesearch.storage.sqlite import SQLiteFile
from facesearch.storage.store import Store

OF_SQLITE = ("", "-wal", "-shm")  # endings of a gallery file and its logs


def import_gallery(source: Path, target: str | os.PathLike[str], model: Model) -> Gallery:
    """Return the gallery at `target`, made from the exported file `source`.

    Raises GalleryError if there is a gallery at `target` already or `source` is not one.
    """
    file = gallery_file(target)
    if file.exists():
        raise GalleryError(f"{file} is there already; name another place with --gallery")
    copy_sound(source, file, model)
    return Gallery(file, model, create=False)


def restore_gallery(
    source: Path, target: str | os.PathLike[str], model: Model
) -> tuple[Gallery, Path | None]:
    """Return the gallery at `target`, as the exported file `source` has it, and the former one.

    The former state is kept as a gallery file of its own beside it, None if there was none.
    Programs that have the gallery open go on with the restored one. A file that cannot be opened is
    moved away with its logs first. Raises GalleryError, with nothing changed, if `source` is not a
    sound gallery of that model.
    """
    file = gallery_file(target)
    staged = file.with_name(f"{file.name}.restoring")
    staged.unlink(missing_ok=True)
    copy_sound(source, staged, model)
    try:
        Gallery(staged, model, create=False).close()  # brings it up to date
        kept = put_in_place(staged, file, model)
    finally:
        for ending in OF_SQLITE:
            staged.with_name(staged.name + ending).unlink(missing_ok=True)
    return Gallery(file, model, create=False), kept


def copy_sound(source: Path, target: Path, model: Model) -> None:
    """Write the gallery `source` to the new file `target`; raises GalleryError if it is damaged."""
    with closing(Store.open_to_read(source)) as exported:
        check_model(exported, model)
        problems = exported.problems()
        if problems:
            raise GalleryError(f"{source} is damaged: {problems[0]}")
        exported.copy_to(target)


def put_in_place(staged: Path, file: Path, model: Model) -> Path | None:
    """Make `file` hold what `staged` does; return where what it held is kept."""
    if not file.exists():
        staged.replace(file)
        return None
    kept = free_name(file, "before-restore")
    try:
        store = Store.open(file, model=model.name, fingerprint=model.fingerprint, create=False)
    except GalleryError:
        for ending in OF_SQLITE:
            log = file.with_name(file.name + ending)
            if log.exists():
                log.replace(kept.with_name(kept.name + ending))
        staged.replace(file)
        return kept
    with closing(store):
        if not isinstance(store.db, SQLiteFile) or store.read_only:
            raise GalleryError(f"{file} cannot be written here, so nothing was restored")
        replace_rows(store.db, staged, kept)
    return kept


def free_name(file: Path, why: str) -> Path:
    """Return a path beside `file` that is not taken, with a number that tells the order."""
    number = 1
    while (path := file.with_name(f"{file.stem}-{why}-{number}{file.suffix}")).exists():
        number += 1
    return path
