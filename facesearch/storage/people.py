"""The people of a gallery: names and ids."""

from collections.abc import Iterable, Sequence

from facesearch.storage.database import Database
from facesearch.storage.rows import PersonRow, now

PERSON_ROW = """SELECT person.id, name, count(template.id), count(DISTINCT photo_id), created_at,
    min(face.id) FROM person LEFT JOIN face ON face.person_id = person.id
    LEFT JOIN template ON template.face_id = face.id"""


class People:
    """The rows of the table person."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> list[PersonRow]:
        """Return everyone, by name."""
        rows = self._db.rows(f"{PERSON_ROW} GROUP BY person.id ORDER BY name")
        return [PersonRow(*row) for row in rows]

    def with_ids(self, person_ids: Sequence[int]) -> list[PersonRow]:
        """Return those of `person_ids` who exist, in that order."""
        sql = f"{PERSON_ROW} WHERE person.id IN (?) GROUP BY person.id"
        found = {row[0]: PersonRow(*row) for row in self._db.rows_for(sql, person_ids)}
        return [found[person] for person in person_ids if person in found]

    def count(self) -> int:
        """Return how many people there are."""
        return int(self._db.rows("SELECT count(*) FROM person")[0][0])

    def id_of(self, name: str) -> int | None:
        """Return the id of the person called `name`, None if there is none."""
        rows = self._db.rows("SELECT id FROM person WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else None

    def names_of(self, person_ids: Iterable[int]) -> dict[int, str]:
        """Return id -> name of those of `person_ids` who exist."""
        return dict(self._db.rows_for("SELECT id, name FROM person WHERE id IN (?)", person_ids))

    def ids_and_names(self) -> list[tuple[int, str]]:
        """Return the id and name of everyone, by name."""
        return self._db.rows("SELECT id, name FROM person ORDER BY name")

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return [name for (name,) in self._db.rows("SELECT name FROM person ORDER BY name")]

    def cover_face(self, name: str) -> int | None:
        """Return the id of the face shown for the person called `name`, None without any."""
        sql = "SELECT min(face.id) FROM face JOIN person ON person.id = person_id WHERE name = ?"
        ((face,),) = self._db.rows(sql, (name,))
        return None if face is None else int(face)

    def add(self, name: str) -> int:
        """Store a person; return the id."""
        return self._db.insert("person", {"name": name, "created_at": now()})
