"""A gallery: its people, photos, faces, templates, and what humans said of them."""

import secrets
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path

from facesearch.errors import GalleryError, NewerGallery
from facesearch.storage.codec import TemplateCodec
from facesearch.storage.database import Database
from facesearch.storage.decisions import DecisionLog
from facesearch.storage.faces import Faces
from facesearch.storage.journal import Journal
from facesearch.storage.people import People
from facesearch.storage.photos import Photos
from facesearch.storage.pictures import Pictures
from facesearch.storage.problems import contradictions, problems
from facesearch.storage.rows import now
from facesearch.storage.schema import SCHEMA_VERSION
from facesearch.storage.seals import SINCE_SCHEMA, Seals
from facesearch.storage.sqlite import SQLiteFile, log_size
from facesearch.storage.templates import Templates
from facesearch.storage.unnamed import UnnamedGroups
from facesearch.storage.verdicts import Verdicts


class Store:
    """One gallery, by noun; see `Store.open`. Every method raises GalleryError."""

    def __init__(self, db: Database) -> None:
        self.db = db  # for this package: all SQL of a gallery is in it
        self.path = db.path
        self.codec = TemplateCodec()
        self.people = People(db)
        self.photos = Photos(db)
        seals = Seals(db)
        self.faces = Faces(db, self.codec, seals)
        self.templates = Templates(db, self.codec, seals)
        self.pictures = Pictures(db)
        self.verdicts = Verdicts(db, self.faces, self.pictures)
        self.unnamed = UnnamedGroups(db)
        self.decisions = DecisionLog(db)

    @classmethod
    def open(cls, path: Path, *, model: str, fingerprint: str, create: bool) -> "Store":
        """Open the gallery file at `path`; with `create` one is made for that model if missing.

        A file that cannot be written can still be read. Raises GalleryError if it is missing,
        damaged, not a gallery or cannot be opened, NewerGallery if a later facesearch wrote it.
        """
        check_log(path)
        db = SQLiteFile.open(path, create=create)
        try:
            if db.schema_version < SCHEMA_VERSION:
                bring_up_to_date(db)
            store = cls(db)
            if store.db.rows("SELECT count(*) FROM gallery") == [(0,)]:
                with store.transaction():
                    store.db.execute(
                        "INSERT OR IGNORE INTO gallery "
                        "(id, generation, model, fingerprint, created_at, lineage) "
                        "VALUES (1, ?, ?, ?, ?, ?)",
                        (secrets.token_hex(8), model, fingerprint, now(), secrets.token_hex(8)),
                    )
        except BaseException:
            db.close()
            raise
        return store

    @classmethod
    def open_to_read(cls, path: Path) -> "Store":
        """Open the gallery file at `path` and change nothing in it, its schema included."""
        return cls(SQLiteFile.open_to_read(path))

    @classmethod
    def fingerprint_at(cls, path: Path) -> str | None:
        """Return the fingerprint of the model of the gallery at `path`.

        None where there is no gallery, or none that can be read: opening it says what is wrong.
        """
        with suppress(GalleryError), closing(cls.open_to_read(path)) as store:
            for (fingerprint,) in store.db.rows("SELECT fingerprint FROM gallery"):
                return str(fingerprint)
        return None

    @property
    def read_only(self) -> bool:
        """Whether the gallery cannot be written."""
        return self.db.read_only

    def close(self) -> None:
        """Close the gallery; committed rows stay."""
        self.db.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Store everything that happens inside, on the disk, at the end; after an error nothing."""
        return self.db.transaction()

    def snapshot(self) -> AbstractContextManager[None]:
        """Read everything inside as of one moment, whoever writes meanwhile."""
        return self.db.snapshot()

    def journal(self) -> Journal:
        """Return what makes and notes the row changes of one decision."""
        return Journal(self.db)

    def about(self) -> dict[str, str]:
        """Return the gallery's generation, model name, fingerprint and date."""
        (row,) = self.db.rows("SELECT generation, model, fingerprint, created_at FROM gallery")
        return dict(zip(("generation", "model", "fingerprint", "created_at"), row, strict=True))

    def counts(self) -> dict[str, int]:
        """Return how many people, photos, faces, templates and decisions there are."""
        tables = ("person", "photo", "face", "template", "decision")
        return {t: int(self.db.rows(f"SELECT count(*) FROM {t}")[0][0]) for t in tables}

    def set_model(self, name: str, fingerprint: str) -> None:
        """Note that the templates are another model's; call in the transaction that stored them.

        The generation changes: a program that has the gallery open with the former model reads
        everything again.
        """
        self.db.execute(
            "UPDATE gallery SET generation = ?, model = ?, fingerprint = ?",
            (secrets.token_hex(8), name, fingerprint),
        )

    def problems(self) -> list[str]:
        """Return what is wrong with the gallery, a sentence each; an empty list if nothing is."""
        return problems(self.db, self.codec)

    def copy_to(self, target: Path) -> None:
        """Write the whole gallery to the new file `target`, as another generation.

        `target` is there when it is complete and on the disk, not before.
        """
        change, values = "UPDATE gallery SET generation = ?", [secrets.token_hex(8)]
        if self.db.schema_version >= SINCE_SCHEMA:
            change, values = f"{change}, lineage = ?", [*values, secrets.token_hex(8)]
        self.db.copy(target, change, *values)

    def erasure_is_due(self) -> bool:
        """Return whether the disk still holds bytes of deleted rows."""
        return bool(self.db.rows("SELECT 1 FROM scrub_due LIMIT 1"))

    def erase(self) -> None:
        """Remove the last byte of deleted rows from the disk.

        Raises GalleryError, with `erasure_is_due` as before, if another program prevents it or the
        disk has no room for a second copy.
        """
        ((due,),) = self.db.rows("SELECT coalesce(max(id), 0) FROM scrub_due")
        self.db.erase()
        self.db.execute("DELETE FROM scrub_due WHERE id <= ?", (due,))


def check_log(path: Path) -> None:
    """Raise GalleryError if SQLite's log beside the file `path` is not of this file.

    A program that was killed may leave a log; a copy that was put in the file's place since does
    not fit it, and SQLite would mix the two for good. Neither is changed here.
    """
    if log_size(path) <= 0 or not path.is_file():
        return
    try:
        with closing(Store.open_to_read(path)) as opened:
            found = contradictions(opened.db)
    except NewerGallery:
        return
    except GalleryError as error:
        found = [str(error)]
    if found:
        raise GalleryError(
            f"{path} and its log {path.name}-wal do not fit together ({found[0]}), so neither was "
            f"changed; if {path.name} is a copy that you put back, close all programs that use it "
            f"and delete {path.name}-wal and {path.name}-shm, else put back a copy made by "
            "facesearch gallery export: facesearch gallery restore FILE"
        )


def bring_up_to_date(db: SQLiteFile) -> None:
    """Migrate the gallery in `db` to the schema of this version; raises GalleryError."""
    if db.read_only:
        raise GalleryError(
            f"an older facesearch wrote {db.path} and it cannot be brought up to date, "
            "since it cannot be written here; copy it to another place"
        )
    from facesearch.storage.migrations import migrate  # 0.2 s of CPU

    with db.transaction():
        migrate(db.connection)
