"""A gallery file -> what is wrong with it, a sentence each."""

from facesearch.storage.codec import TemplateCodec
from facesearch.storage.database import Database, damaged
from facesearch.storage.journal import TWICE_ON_PURPOSE
from facesearch.storage.rows import BOX_COLUMNS
from facesearch.storage.seals import SEALED, SINCE_SCHEMA, broken

# SQLite takes `added` from the row that has the greatest seq
LAST_CHANGE = "SELECT template_id, added, max(seq) FROM change GROUP BY template_id"

# Schema since which it can be asked -> what is wrong -> how many rows are
CHECKS = {
    1: {
        "face(s) without a template": "SELECT count(*) FROM face WHERE id NOT IN "
        "(SELECT face_id FROM template)",
        "template(s) of another model than the gallery's": "SELECT count(*) FROM template "
        "WHERE fingerprint <> (SELECT fingerprint FROM gallery)",
        "photo(s) without a face": "SELECT count(*) FROM photo WHERE id NOT IN "
        "(SELECT photo_id FROM face)",
        "template(s) whose last change is not that they were added": "SELECT count(*) "
        f"FROM template LEFT JOIN ({LAST_CHANGE}) ON template_id = template.id "
        "WHERE added IS NOT 1",
        "template(s) that were added but do not exist": f"SELECT count(*) FROM ({LAST_CHANGE}) "
        "WHERE added = 1 AND template_id NOT IN (SELECT id FROM template)",
    },
    3: {
        "decision(s) that cannot be read": "SELECT count(*) FROM decision "
        "WHERE NOT json_valid(payload)",
        "name(s) given twice in a photo, of which no human said that it is a mirror or a collage": (
            "SELECT count(*) FROM (SELECT DISTINCT one.photo_id, one.person_id FROM face AS one "
            "JOIN face AS other USING (photo_id, person_id) WHERE one.id < other.id AND NOT EXISTS "
            f"({TWICE_ON_PURPOSE} WHERE face IN (one.id, other.id)))"
        ),
        "decision(s) that undo a later one": "SELECT count(*) FROM decision WHERE undoes >= id",
        "face(s) enrolled as a person who a human said they are not": "SELECT count(*) "
        "FROM rejection JOIN photo USING (content_hash) JOIN face ON photo_id = photo.id "
        "WHERE face.person_id = rejection.person_id "
        + " ".join(f"AND face.{column} = rejection.{column}" for column in BOX_COLUMNS),
    },
    5: {
        "face(s) enrolled that a human dismissed": "SELECT count(*) "
        "FROM dismissal JOIN photo USING (content_hash) JOIN face ON photo_id = photo.id "
        "WHERE " + " AND ".join(f"face.{column} = dismissal.{column}" for column in BOX_COLUMNS),
    },
}


MAX_LISTED = 10  # numbers of damaged rows in a sentence


def problems(db: Database, codec: TemplateCodec) -> list[str]:
    """Return what is wrong with a gallery, a sentence each; an empty list where nothing is.

    Its schema may be an older one, as that of an export.
    """
    found, version = contradictions(db), db.schema_version
    try:
        codec.decode([vector for (vector,) in db.rows("SELECT vector FROM template")])
    except (TypeError, ValueError) as error:
        found.append(str(damaged(db.path, error)))
    for table in SEALED if version >= SINCE_SCHEMA else ():
        rows = broken(db, table)
        if rows:
            more = ", ..." if len(rows) > MAX_LISTED else ""
            numbers = ", ".join(map(str, rows[:MAX_LISTED])) + more
            found.append(f"{len(rows)} {table}(s) that are not as they were stored: {numbers}")
    return found


def contradictions(db: Database) -> list[str]:
    """Return what does not fit together in a gallery, a sentence each; seals are not looked at."""
    found, version = db.check(), db.schema_version
    checks = [pair for since, some in CHECKS.items() if since <= version for pair in some.items()]
    for sentence, sql in checks:
        ((count,),) = db.rows(sql)
        if count:
            found.append(f"{count} {sentence}")
    return found
