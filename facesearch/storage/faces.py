"""The enrolled faces: whose each is, and where in which photo."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from facesearch.pictures import AS_STORED, KeptPicture, stored_size, turned_box
from facesearch.storage.codec import TemplateCodec
from facesearch.storage.database import Database
from facesearch.storage.journal import Journal
from facesearch.storage.photos import Photos
from facesearch.storage.rows import FaceRow, KnownFace, box_columns, now, readable
from facesearch.storage.seals import SEALED, Seals
from facesearch.vectors import Floats

KNOWN_FACE = f"{SEALED['face']}, name, content_hash, orientation, width, height"
OF_FACE = "face JOIN photo ON photo.id = photo_id JOIN person ON person.id = person_id"


class Faces:
    """The rows of the table face, with the photos and templates that come and go with them."""

    def __init__(self, db: Database, codec: TemplateCodec, seals: Seals) -> None:
        self._db = db
        self._codec = codec
        self._seals = seals
        self._photos = Photos(db)

    def get(self, face_id: int) -> KnownFace | None:
        """Return a face, None if it is gone."""
        rows = self._db.rows(f"SELECT {KNOWN_FACE} FROM {OF_FACE} WHERE face.id = ?", (face_id,))
        return known_face(rows[0]) if rows else None

    def in_photo(self, content_hash: str) -> list[KnownFace]:
        """Return the faces that are enrolled from the photo with these bytes.

        A face that damage has changed is left out and told of, here and in `of_templates`.
        """
        sql = f"SELECT {KNOWN_FACE} FROM {OF_FACE} WHERE content_hash = ?"
        rows = self._db.rows(sql, (content_hash,))
        return [known_face(row) for row in self._seals.sound("face", rows)]

    def twins(self, face_id: int) -> list[tuple[int, str, str]]:
        """Return the other faces of the same person in the same photo: (id, person, path)."""
        sql = (
            "SELECT other.id, name, coalesce(path, content_hash) FROM face "
            "JOIN face AS other USING (photo_id, person_id) "
            "JOIN photo ON photo.id = face.photo_id JOIN person ON person.id = face.person_id "
            "WHERE face.id = ? AND other.id <> face.id"
        )
        return self._db.rows(sql, (face_id,))

    def of_person(self, person_id: int) -> list[tuple[str | None, KnownFace]]:
        """Return the photo paths and faces of a person, in order of enrollment."""
        sql = f"SELECT path, {KNOWN_FACE} FROM {OF_FACE} WHERE person_id = ? ORDER BY face.id"
        return [(path, known_face(row)) for path, *row in self._db.rows(sql, (person_id,))]

    def of_templates(
        self, template_ids: Iterable[int] | None = None
    ) -> Iterator[tuple[int, str | None, KnownFace]]:
        """Yield template id, photo path and face of those of `template_ids` that exist, or all."""
        sql = (
            f"SELECT {KNOWN_FACE}, template.id, path FROM template JOIN face ON face.id = face_id "
            "JOIN photo ON photo.id = photo_id JOIN person ON person.id = person_id"
        )
        if template_ids is None:
            rows = iter(self._db.rows(sql))
        else:
            rows = self._db.rows_for(f"{sql} WHERE template.id IN (?)", template_ids)
        for *row, template, path in self._seals.sound("face", rows):
            yield template, path, known_face(row)

    def enrolled_photos(self) -> set[tuple[str, str]]:
        """Return all pairs of a person's name and the content hash of a photo of theirs."""
        return set(self._db.rows(f"SELECT DISTINCT name, content_hash FROM {OF_FACE}"))

    def people_in_photos_of(self, person_id: int) -> set[int]:
        """Return the ids of the other people who are enrolled from a photo of a person."""
        rows = self._db.rows(
            "SELECT DISTINCT other.person_id FROM face JOIN face AS other USING (photo_id) "
            "WHERE face.person_id = ? AND other.person_id != face.person_id",
            (person_id,),
        )
        return {other for (other,) in rows}

    def insert(
        self,
        journal: Journal,
        person_id: int,
        photo: tuple[KeptPicture, str],
        face: FaceRow,
        template: Floats,
        fingerprint: str,
        assigned_by: str,
    ) -> int:
        """Insert a face, its template and, unless it is there, its photo; return the face's id.

        `photo` is the picture and the file's path.
        """
        kept, path = photo
        photo_id = self._photos.id_of(kept.key)
        if photo_id is None:
            row = {
                "content_hash": kept.key,
                "path": readable(path),
                "width": kept.picture.width,
                "height": kept.picture.height,
                "added_at": now(),
                "orientation": kept.turn_to_show,
            }
            photo_id = journal.insert("photo", row)
        face_id = journal.insert(
            "face",
            {
                "photo_id": photo_id,
                "person_id": person_id,
                "assigned_by": assigned_by,
                **box_columns(face.box),
                "landmarks": face.landmarks.astype("<f4").tobytes(),
                "score": face.score,
                "sharpness": face.sharpness,
            },
        )
        vector = self._codec.encode(template)
        journal.insert(
            "template", {"face_id": face_id, "fingerprint": fingerprint, "vector": vector}
        )
        return face_id

    def remove(self, journal: Journal, face_id: int) -> None:
        """Delete a face with its templates, and its photo if no other face is enrolled from it."""
        for (template,) in self._db.rows("SELECT id FROM template WHERE face_id = ?", (face_id,)):
            journal.delete("template", template)
        ((photo,),) = self._db.rows("SELECT photo_id FROM face WHERE id = ?", (face_id,))
        journal.delete("face", face_id)
        if not journal.is_used("photo", photo):
            journal.delete("photo", photo)


def known_face(row: Sequence[Any]) -> KnownFace:
    """Return the face in a row of the columns KNOWN_FACE."""
    face, _, person, assigned_by, left, top, right, bottom, *_ = row
    name, key, turn, width, height = row[-5:]
    by, box = assigned_by.decode("utf-8", "replace"), (left, top, right, bottom)
    shown = turned_box(box, stored_size(width, height, turn), AS_STORED, turn)
    return KnownFace(name, box, by, face, person, key, shown)
