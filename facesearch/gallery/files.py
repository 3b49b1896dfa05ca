"""Where a gallery lies on the disk, and which model opens it."""

import os
from pathlib import Path

from facesearch.errors import EmbeddingMismatch
from facesearch.manifest import shipped_model
from facesearch.model import Model
from facesearch.storage.schema import APPLICATION_ID
from facesearch.storage.store import Store


def gallery_file(path: str | os.PathLike[str]) -> Path:
    """Return the gallery file that `path` means: itself, or gallery.db in it if it is a folder."""
    file = Path(path)
    return file / "gallery.db" if file.is_dir() or not file.suffix else file


def galleries_in(folder: Path) -> list[Path]:
    """Return the gallery files in `folder`, sorted, by what is in them."""
    found = []
    for path in sorted(folder.glob("*.db")):
        try:
            with path.open("rb") as file:
                head = file.read(72)
        except OSError:
            continue
        mark = int.from_bytes(head[68:72], "big")  # SQLite's header, "application ID"
        if head.startswith(b"SQLite format 3\0") and mark == APPLICATION_ID:
            found.append(path)
    return found


def index_folder(file: Path) -> Path:
    """Return the folder of what can be computed again from the gallery `file` and its photos.

    `forget` deletes every file in it.
    """
    return file.with_name(file.name + "-index")


def photo_cache_file(file: Path) -> Path:
    """Return where it is kept what was seen in photos, for the gallery `file`."""
    return index_folder(file) / "photos.cache"


def photo_folder(file: Path) -> Path:
    """Return the folder of copies of photos whose own files do not last."""
    return file.absolute().with_name(file.name + "-photos")


def model_for(path: str | os.PathLike[str], name: str = "default") -> str:
    """Return the name of the model to open the gallery at `path` with: `name`, or its own.

    "default" stands for the model that made the gallery, if it ships with facesearch: the default
    may change while a gallery lasts. It stays "default" for a new gallery, and for one made by a
    model from elsewhere.
    """
    fingerprint = Store.fingerprint_at(gallery_file(path)) if name == "default" else None
    return name if fingerprint is None else shipped_model(fingerprint) or name


def check_model(store: Store, model: Model) -> None:
    """Raise EmbeddingMismatch unless `model` made the templates in `store`."""
    about = store.about()
    if about["fingerprint"] != model.fingerprint:
        raise EmbeddingMismatch(
            f"the gallery {store.path} was made with the model {about['model']} "
            f"({about['fingerprint']}), not with {model.name} ({model.fingerprint}); "
            "name that model or another gallery, or convert this one with "
            "facesearch gallery migrate"
        )
