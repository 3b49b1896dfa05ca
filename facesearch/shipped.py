"""Where models lie: those that ship with facesearch, by name, and any other by its folder."""

import hashlib
from pathlib import Path

from facesearch.errors import ModelError

SHIPPED = Path(__file__).parent / "models"
DEFAULT = "twin"


def shipped_models() -> list[str]:
    """Return the names of the models that ship with facesearch, sorted."""
    return sorted(folder.parent.name for folder in SHIPPED.glob("*/model.json"))


def model_folder(name_or_folder: str | Path) -> Path:
    """Return the folder of the model with that name or path; raises ModelError if there is none."""
    name = DEFAULT if str(name_or_folder) == "default" else str(name_or_folder)
    for folder in (SHIPPED / name, Path(name)):
        if (folder / "model.json").is_file():
            return folder
    raise ModelError(
        f"there is no model {name_or_folder!s}: neither a name ({', '.join(shipped_models())}) "
        "nor a folder with a model.json"
    )


def check_file(file: Path, sha256: str) -> None:
    """Raise ModelError unless `file` exists and has that SHA-256.

    A device or a pipe, which may never end or never begin, is not opened.
    """
    if file.exists() and not file.is_file():
        raise ModelError(f"the model file {file} cannot be read: it is not a regular file")
    try:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"the model file {file} cannot be read: {error.strerror}") from error
    if found != sha256:
        raise ModelError(f"the model file {file} is damaged; install facesearch again")
