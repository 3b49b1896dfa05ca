"""What tests of galleries do again and again: enroll, identify, compare rows, undo."""

import unicodedata

from gallery_rows import select

ADA, GRACE, HEDY, MARY, STRANGER = 10, 20, 30, 35, 40  # person numbers, see fake_model.py
PEOPLE = {"Ada": ADA, "Grace": GRACE, "Hedy": HEDY}  # those enrolled by the fixture `trio`
TABLES = (
    *("person", "photo", "face", "template"),
    *("not_same", "rejection", "not_same_photo", "dismissal"),
)


def enroll(gallery, *photos):
    """Enroll (name, photo) pairs; return the enrollments as a list."""
    return list(gallery.enroll(photos))


def statuses(enrollments):
    return [enrollment.status for enrollment in enrollments]


def who(gallery, photo, **options):
    """Return the names in `photo`, None for unknown, in the order of the faces."""
    (seen,) = gallery.identify([photo], **options)
    assert seen.error is None
    return [face.person for face in seen.faces]


def candidates(gallery, photo, face=0):
    """Return the names of the candidates of one face in `photo`, most alike first."""
    (seen,) = gallery.identify([photo])
    return [candidate.person for candidate in seen.faces[face].candidates]


def photo_counts(gallery):
    """Return the number of photos by name."""
    return {person.name: person.photos for person in gallery.people.all()}


def face_of(gallery, name, place=0):
    """Return one enrolled face of a person, in the order of enrollment."""
    return gallery.people.faces_of(name)[place][1]


def rows(gallery):
    """Return every row of every table that a decision may change; undoing has to restore them."""
    return {table: select(gallery, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}


def assert_undone(gallery, before, decision):
    """Undo `decision`, which restores the rows `before`; undo that, which restores its own rows."""
    after = rows(gallery)
    undoing = gallery.history.undo(decision.id)
    assert undoing.undoes == decision.id
    assert rows(gallery) == before
    assert gallery.upkeep.check() == []
    gallery.history.undo(undoing.id)
    assert rows(gallery) == after
    assert gallery.upkeep.check() == []


def folded_slowly(name):
    """Return what `facesearch.names.folded` should, letter by letter."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    bare = ""
    for letter in unicodedata.normalize("NFKD", plain):
        is_accent = unicodedata.combining(letter) > 9 or unicodedata.combining(letter) == 1
        bare += "" if is_accent or letter.isspace() else letter
    return unicodedata.normalize("NFC", bare)
