"""The templates of the enrolled faces, and the log of their changes that an index replays."""

from collections.abc import Iterable, Sequence

import numpy as np

from facesearch.storage.codec import TemplateCodec
from facesearch.storage.database import Database, damaged
from facesearch.storage.rows import Ids
from facesearch.vectors import Floats

WITH_FACE = "face JOIN template ON face_id = face.id"


class Templates:
    """The rows of the tables template and change. A template's id is the one in the index.

    Where templates are returned as rows (n, dim), they have length 1, and GalleryError is raised
    if one of them is damaged.
    """

    def __init__(self, db: Database, codec: TemplateCodec) -> None:
        self._db = db
        self._codec = codec

    def all(self) -> tuple[Ids, Floats]:
        """Return ids (n,), rising, and rows (n, dim) of all templates."""
        rows = self._db.rows("SELECT id, vector FROM template ORDER BY id")
        return self._columns(rows, 1)[0], self._decoded(rows)

    def with_ids(self, ids: Iterable[int]) -> tuple[Ids, Floats]:
        """Return ids (n,) and rows (n, dim) of those of `ids` that exist."""
        rows = list(self._db.rows_for("SELECT id, vector FROM template WHERE id IN (?)", ids))
        return self._columns(rows, 1)[0], self._decoded(rows)

    def of_people(self, person_ids: Iterable[int]) -> tuple[Ids, Floats]:
        """Return person ids (n,) and rows (n, dim) of all templates of these people."""
        sql = f"SELECT person_id, vector FROM {WITH_FACE} WHERE person_id IN (?)"
        rows = list(self._db.rows_for(f"{sql} ORDER BY template.id", person_ids))
        return self._columns(rows, 1)[0], self._decoded(rows)

    def of_people_by_face(self, person_ids: Iterable[int]) -> tuple[Ids, Ids, Floats]:
        """Return face ids (n,), person ids (n,) and rows (n, dim) of these people's templates."""
        sql = f"SELECT face.id, person_id, vector FROM {WITH_FACE} WHERE person_id IN (?)"
        rows = list(self._db.rows_for(f"{sql} ORDER BY face.id", person_ids))
        faces, people = self._columns(rows, 2)
        return faces, people, self._decoded(rows)

    def owners(self) -> tuple[Ids, Ids, Ids]:
        """Return person, photo and face ids (n,) of all templates, by template id."""
        rows = self._db.rows(
            "SELECT person_id, photo_id, face.id FROM template JOIN face ON face.id = face_id "
            "ORDER BY template.id"
        )
        people, photos, faces = self._columns(rows, 3)
        return people, photos, faces

    def people_of(self, ids: Iterable[int]) -> dict[int, int]:
        """Return template id -> person id for those of `ids` that exist."""
        sql = "SELECT template.id, person_id FROM template JOIN face ON face.id = face_id"
        return dict(self._db.rows_for(f"{sql} WHERE template.id IN (?)", ids))

    def count_by_person(self) -> dict[int, int]:
        """Return person id -> number of templates of everyone who has one, ids rising."""
        sql = f"SELECT person_id, count(*) FROM {WITH_FACE} GROUP BY person_id ORDER BY person_id"
        return dict(self._db.rows(sql))

    def replace(self, template_id: int, template: Floats, fingerprint: str) -> None:
        """Store what another model, with that fingerprint, made of the same face."""
        self._db.execute(
            "UPDATE template SET fingerprint = ?, vector = ? WHERE id = ?",
            (fingerprint, self._codec.encode(template), template_id),
        )

    def _columns(self, rows: Sequence[Sequence[int]], n_columns: int) -> list[Ids]:
        return [np.array([row[i] for row in rows], np.int64) for i in range(n_columns)]

    def _decoded(self, rows: Sequence[Sequence[bytes]]) -> Floats:
        try:
            return self._codec.decode([row[-1] for row in rows])
        except (TypeError, ValueError) as error:
            raise damaged(self._db.path, error) from error

    # The change log

    def seq(self) -> int:
        """Return the number of the last change to the templates, 0 before the first."""
        ((seq,),) = self._db.rows("SELECT coalesce(max(seq), 0) FROM change")
        return int(seq)

    def stamp(self, seq: int) -> str | None:
        """Return the unique stamp of change `seq`, None if this gallery has no such change.

        Hexadecimal. A restored copy gives the numbers of lost changes to others, but not their
        stamps.
        """
        if seq == 0:
            ((generation,),) = self._db.rows("SELECT generation FROM gallery")
            return str(generation)
        sql = "SELECT generation || token FROM gallery JOIN change WHERE seq = ?"
        rows = self._db.rows(sql, (seq,))
        return str(rows[0][0]) if rows else None

    def changes_since(self, seq: int) -> tuple[list[int], list[int]]:
        """Return the ids of the templates that the changes after `seq` added, and removed."""
        last: dict[int, int] = dict(
            self._db.rows(
                "SELECT template_id, added FROM change WHERE seq > ? ORDER BY seq", (seq,)
            )
        )
        return [i for i, added in last.items() if added], [i for i, a in last.items() if not a]
