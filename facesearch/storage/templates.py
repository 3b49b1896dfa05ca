"""The templates of the enrolled faces, and the log of their changes that an index replays."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from facesearch.storage.codec import TemplateCodec
from facesearch.storage.database import Database, damaged
from facesearch.storage.rows import Ids
from facesearch.storage.seals import SEALED, Seals, seal
from facesearch.vectors import Floats

WITH_FACE = "face JOIN template ON face_id = face.id"
BOTH_ROWS = f"SELECT {SEALED['template']}, {SEALED['face']} FROM {WITH_FACE}"
TEMPLATE, VECTOR, FACE, PHOTO, PERSON = 0, 3, 5, 6, 7  # places in such a row


class Templates:
    """The rows of the tables template and change. A template's id is the one in the index.

    Where templates are returned as rows (n, dim), they have length 1. A template that damage has
    changed, or whose face it has, is left out and told of; GalleryError is raised for one that
    never was a vector.
    """

    def __init__(self, db: Database, codec: TemplateCodec, seals: Seals) -> None:
        self._db = db
        self._codec = codec
        self._seals = seals

    def all(self) -> tuple[Ids, Floats]:
        """Return ids (n,), rising, and rows (n, dim) of all templates."""
        return self._vectors(self._db.rows(f"SELECT {SEALED['template']} FROM template ORDER BY 1"))

    def with_ids(self, ids: Iterable[int]) -> tuple[Ids, Floats]:
        """Return ids (n,) and rows (n, dim) of those of `ids` that exist."""
        sql = f"SELECT {SEALED['template']} FROM template WHERE id IN (?)"
        return self._vectors(self._db.rows_for(sql, ids))

    def of_people(self, person_ids: Iterable[int]) -> tuple[Ids, Floats]:
        """Return person ids (n,) and rows (n, dim) of all templates of these people."""
        sql = f"{BOTH_ROWS} WHERE person_id IN (?) ORDER BY template.id"
        rows = self._sound(self._db.rows_for(sql, person_ids))
        return self._column(rows, PERSON), self._decoded(rows)

    def of_people_by_face(self, person_ids: Iterable[int]) -> tuple[Ids, Ids, Floats]:
        """Return face ids (n,), person ids (n,) and rows (n, dim) of these people's templates."""
        sql = f"{BOTH_ROWS} WHERE person_id IN (?) ORDER BY face.id"
        rows = self._sound(self._db.rows_for(sql, person_ids))
        return self._column(rows, FACE), self._column(rows, PERSON), self._decoded(rows)

    def with_owners(self) -> tuple[Ids, Ids, Ids, Ids, Floats]:
        """Return template, person, photo and face ids (n,) and rows (n, dim) of all templates.

        Template ids rise.
        """
        rows = self._sound(self._db.rows(f"{BOTH_ROWS} ORDER BY template.id"))
        template, person, photo, face = (
            self._column(rows, place) for place in (TEMPLATE, PERSON, PHOTO, FACE)
        )
        return template, person, photo, face, self._decoded(rows)

    def people_of(self, ids: Iterable[int]) -> dict[int, int]:
        """Return template id -> person id for those of `ids` that exist."""
        rows = self._db.rows_for(f"{BOTH_ROWS} WHERE template.id IN (?)", ids)
        return {row[TEMPLATE]: row[PERSON] for row in self._sound(rows)}

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
        seal(self._db, "template", template_id)

    def _sound(self, rows: Iterable[Sequence[Any]]) -> list[Any]:
        """Return those of `rows`, selected by BOTH_ROWS, that no damage has changed."""
        templates = self._seals.sound("template", rows)
        return list(self._seals.sound("face", templates, FACE))

    def _vectors(self, rows: Iterable[Sequence[Any]]) -> tuple[Ids, Floats]:
        """Return ids and vectors of those of `rows`, of table template, that are undamaged."""
        sound = list(self._seals.sound("template", rows))
        return self._column(sound, TEMPLATE), self._decoded(sound)

    def _column(self, rows: Sequence[Sequence[int]], place: int) -> Ids:
        return np.array([row[place] for row in rows], np.int64)

    def _decoded(self, rows: Sequence[Sequence[bytes]]) -> Floats:
        try:
            return self._codec.decode([row[VECTOR] for row in rows])
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
