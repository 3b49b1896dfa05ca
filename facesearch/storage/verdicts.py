"""What humans said: of the faces of a photo, of two people, of two photos."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from facesearch.boxes import Box, same_place
from facesearch.storage.database import Database
from facesearch.storage.faces import Faces
from facesearch.storage.pictures import Pictures
from facesearch.storage.rows import BOX, BOX_COLUMNS, Dismissal, KnownFace, Rejection


@dataclass(frozen=True, slots=True)
class PhotoVerdicts:
    """Everything that was said of the faces of one photo, as of one moment."""

    enrolled: tuple[KnownFace, ...]  # from this photo, by humans or the machine
    rejections: tuple[Rejection, ...]  # in the order they were made
    dismissals: tuple[Dismissal, ...]  # in the order they were made

    def by_place(
        self, boxes: Sequence[Box]
    ) -> tuple[dict[int, str], dict[int, set[int]], dict[int, str]]:
        """Return what humans said of the faces at `boxes`, by their places in it.

        That is the names they have, the ids of the people they are not, and as what they are
        dismissed; a name outranks a dismissal.
        """
        named: dict[int, str] = {}
        rejected: dict[int, set[int]] = {}
        dismissed: dict[int, str] = {}
        for place, box in enumerate(boxes):
            for known in self.enrolled:
                if known.assigned_by == "human" and same_place(known.box, box):
                    named[place] = known.person
            for rejection in self.rejections:
                if same_place(rejection.box, box):
                    rejected.setdefault(place, set()).add(rejection.person_id)
            for dismissal in self.dismissals:
                if place not in named and same_place(dismissal.box, box):
                    dismissed[place] = dismissal.verdict
        return named, rejected, dismissed

    def enrolled_at(self, box: Box) -> KnownFace | None:
        """Return the enrolled face at `box`, None if none is."""
        return next((face for face in self.enrolled if same_place(face.box, box)), None)

    def rejected_at(self, box: Box) -> set[int]:
        """Return the ids of the people who the face at `box` is not."""
        return {said.person_id for said in self.rejections if same_place(said.box, box)}

    def dismissed_at(self, box: Box) -> str | None:
        """Return as what the face at `box` is dismissed, "stranger" or "no face"; else None."""
        said = (d.verdict for d in reversed(self.dismissals) if same_place(d.box, box))
        return next(said, None)


class Verdicts:
    """The rows of the tables rejection, dismissal, not_same and not_same_photo."""

    def __init__(self, db: Database, faces: Faces, pictures: Pictures) -> None:
        self._db = db
        self._faces = faces
        self._pictures = pictures

    def of_photo(self, content_hash: str) -> PhotoVerdicts:
        """Return everything that was said of the faces of the photo with that key.

        Call inside a snapshot or transaction, so that all of it is of one moment.
        """
        found = self._of_key(content_hash)
        for other, here in self._pictures.others(content_hash):
            more = self._of_key(other)
            found = PhotoVerdicts(
                found.enrolled + tuple(replace(row, box=here(row.box)) for row in more.enrolled),
                found.rejections + tuple(replace(r, box=here(r.box)) for r in more.rejections),
                found.dismissals + tuple(replace(d, box=here(d.box)) for d in more.dismissals),
            )
        return found

    def _of_key(self, content_hash: str) -> PhotoVerdicts:
        return PhotoVerdicts(
            tuple(self._faces.in_photo(content_hash)),
            tuple(self._rejections("content_hash = ?", content_hash)),
            tuple(self._dismissals("content_hash = ?", content_hash)),
        )

    def rejections_of(self, person_id: int) -> list[Rejection]:
        """Return which faces a human said are not this person."""
        return self._rejections("person_id = ?", person_id)

    def rejection(self, row: int) -> Rejection | None:
        """Return the rejection with that id, None if it is gone."""
        return next(iter(self._rejections("id = ?", row)), None)

    def dismissal(self, row: int) -> Dismissal | None:
        """Return the dismissal with that id, None if it is gone."""
        return next(iter(self._dismissals("id = ?", row)), None)

    def _rejections(self, where: str, value: str | int) -> list[Rejection]:
        sql = f"SELECT id, content_hash, {BOX}, person_id FROM rejection WHERE {where} ORDER BY id"
        rows = self._db.rows(sql, (value,))
        return [Rejection(row, photo, tuple(box), by) for row, photo, *box, by in rows]

    def _dismissals(self, where: str, value: str | int) -> list[Dismissal]:
        sql = f"SELECT id, content_hash, {BOX}, verdict FROM dismissal WHERE {where} ORDER BY id"
        rows = self._db.rows(sql, (value,))
        return [Dismissal(row, photo, tuple(box), verdict) for row, photo, *box, verdict in rows]

    def not_same(self) -> list[tuple[int, int, int]]:
        """Return (row id, person id, larger person id) of people who a human said are two."""
        return self._db.rows("SELECT id, person_a, person_b FROM not_same ORDER BY id")

    def not_same_photos(self) -> set[tuple[str, str]]:
        """Return the content hashes, smaller first, of photos that are two different pictures."""
        return set(self._db.rows("SELECT hash_a, hash_b FROM not_same_photo"))

    def people_apart(self) -> set[tuple[int, int]]:
        """Return the pairs of people, smaller id first, who may not be merged.

        A human said that they are two, or rejected a face of the one as the other.
        """
        apart = {(a, b) for _, a, b in self.not_same()}
        columns = [f"{table}.{side}" for table in ("rejection", "face") for side in BOX_COLUMNS]
        rows = self._db.rows(
            f"SELECT rejection.person_id, face.person_id, {', '.join(columns)} "
            "FROM rejection JOIN photo USING (content_hash) JOIN face ON photo_id = photo.id"
        )
        for rejected, owner, *boxes in rows:
            if same_place(tuple(boxes[:4]), tuple(boxes[4:])):
                apart.add((min(rejected, owner), max(rejected, owner)))
        return apart
