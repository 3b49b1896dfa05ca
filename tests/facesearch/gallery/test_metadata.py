"""Another program writes into a photo's file: the picture is the same, and what was said holds."""

import hashlib
import sqlite3

import pytest
from deciding import confirm, dismiss, reject
from fake_model import SIDE_PX
from gallery_rows import execute, make_read_only, select, store_of
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facesearch.gallery.migration import migrate_gallery
from facesearch.photo import read_photo
from facesearch.storage.schema import SCHEMA_7

ADA, GRACE, HEDY = 10, 20, 30
MIRRORED = 2  # an orientation


def write_into(photo, *, rating="5", orientation=None):
    """Write a rating and an orientation into the file, as another program would."""
    before = read_photo(photo)
    image, text, exif = Image.open(photo), PngInfo(), Image.Exif()
    text.add_itxt("Rating", rating)
    if orientation:
        exif[0x0112] = orientation
    # as save_photo compresses it: the pixels are stored as they were
    image.save(photo, "PNG", pnginfo=text, exif=exif, compress_level=1)
    assert read_photo(photo).identity == before.identity
    assert read_photo(photo).content_hash != before.content_hash


def keep_by_bytes(gallery):
    """Make the gallery one that a former version has just left, which knew photos by their bytes.

    None of their pictures may be turned: such a version kept boxes as they were shown.
    """
    for photo in [path for (path,) in select(gallery, "SELECT path FROM photo")]:
        keep_one_by_bytes(gallery, photo)


def keep_one_by_bytes(gallery, photo):
    read = read_photo(photo)
    for table in ("photo", "rejection", "dismissal", "unnamed_face"):
        sql = f"UPDATE {table} SET content_hash = ? WHERE content_hash = ?"
        execute(gallery, sql, (read.content_hash, read.identity))
    execute(gallery, "INSERT INTO former_hash (content_hash) VALUES (?)", (read.content_hash,))


def names_in(gallery, photo):
    (found,) = gallery.identify([photo])
    return [face.person or face.dismissed_as for face in found.faces]


@pytest.fixture(params=["this version", "a former version"])
def known(request, fake_gallery, shoot):
    """A photo of Ada and a stranger: it was said who she is, and that he is one."""
    photo = shoot((ADA, 1), (HEDY, 1))
    list(fake_gallery.enroll([("Grace", shoot((GRACE, 1)))]))
    confirm(fake_gallery, photo, "Ada", 1, new=True)
    dismiss(fake_gallery, photo, "stranger", 2)
    if request.param == "a former version":
        keep_by_bytes(fake_gallery)
        assert names_in(fake_gallery, photo) == ["Ada", "stranger"]  # it is seen once
    return photo


@pytest.mark.parametrize(("orientation", "shown"), [(None, 1), (1, 1), (MIRRORED, -1)])
def test_a_rating_or_a_turn_forgets_no_decision_immich_16375(
    fake_gallery, known, orientation, shown
):
    write_into(known, orientation=orientation)
    assert names_in(fake_gallery, known) == ["Ada", "stranger"][::shown]
    assert fake_gallery.upkeep.check() == []


def test_a_rejection_holds_after_a_rating_and_a_turn(fake_gallery, known):
    reject(fake_gallery, known, "Ada", 1)
    write_into(known, orientation=MIRRORED)
    assert names_in(fake_gallery, known) == ["stranger", None]


def test_a_decision_after_a_turn_is_about_the_face_that_is_shown(fake_gallery, known):
    write_into(known, orientation=MIRRORED)
    confirm(fake_gallery, known, "Hedy", 1, new=True)  # who was called a stranger before
    assert names_in(fake_gallery, known) == ["Hedy", "Ada"]
    fake_gallery.history.undo()
    assert names_in(fake_gallery, known) == ["stranger", "Ada"]
    write_into(known, rating="1")
    assert names_in(fake_gallery, known) == ["Ada", "stranger"]
    assert fake_gallery.upkeep.check() == []


def test_decisions_of_a_former_version_are_undone_after_a_rating(fake_gallery, known):
    write_into(known, orientation=MIRRORED)
    assert names_in(fake_gallery, known) == ["stranger", "Ada"]
    dismissed, confirmed = (entry.id for entry in fake_gallery.history.list(limit=2))
    fake_gallery.history.undo(dismissed)
    fake_gallery.history.undo(confirmed)
    assert names_in(fake_gallery, known) == [None, None]
    assert [person.name for person in fake_gallery.people.all()] == ["Grace"]


def test_a_photo_is_enrolled_once_whatever_its_rating(fake_gallery, known):
    write_into(known)
    (again,) = fake_gallery.enroll([("Ada", known)])
    assert again.status == "already"


def test_a_group_keeps_its_number_and_can_be_named_after_a_turn(fake_gallery, shoot):
    photos = [shoot((ADA, k), (GRACE, k)) for k in (1, 2, 3)]
    before = fake_gallery.review.cluster(photos).groups
    write_into(photos[0], orientation=MIRRORED)
    after = fake_gallery.review.cluster(photos).groups
    numbers = {(face.photo, face.box): group.id for group in before for face in group.faces}
    assert {(f.photo, f.box): group.id for group in after for f in group.faces} == numbers
    turned = [f for group in after for f in group.faces if f.photo == str(photos[0])]
    assert [face.shown[0] for face in turned] == [SIDE_PX - face.box[0] for face in turned]
    decision = fake_gallery.review.name_group(after[0], "Somebody")
    assert (decision.summary, decision.left_out) == ("said that 3 faces are Somebody", ())
    enrolled = {(path, face.box) for path, face in fake_gallery.people.faces_of("Somebody")}
    assert enrolled == {(face.photo, face.box) for face in after[0].faces}


def test_two_copies_that_a_former_version_took_for_two_photos_are_one(fake_gallery, shoot):
    first, second = shoot((ADA, 1), (HEDY, 1)), shoot((ADA, 1), (HEDY, 1), name="rated.png")
    list(fake_gallery.enroll([("Grace", shoot((GRACE, 1)))]))
    dismiss(fake_gallery, first, "stranger", 2)
    keep_one_by_bytes(fake_gallery, first)
    write_into(second, orientation=MIRRORED)
    reject(fake_gallery, second, "Grace", 2)  # Ada, by the bytes of the second file
    keys = f"UPDATE rejection SET content_hash = '{read_photo(second).content_hash}', "
    execute(fake_gallery, f"{keys} box_left = {SIDE_PX}, box_right = {2 * SIDE_PX}")
    bytes_of_second = read_photo(second).content_hash
    execute(fake_gallery, "INSERT INTO former_hash (content_hash) VALUES (?)", (bytes_of_second,))
    for photo in (first, second):
        names_in(fake_gallery, photo)
    store = store_of(fake_gallery)
    kept = store.pictures.kept(read_photo(first).picture)
    ada, hedy = (kept.box((n * SIDE_PX, 0, (n + 1) * SIDE_PX, SIDE_PX)) for n in range(2))
    said = store.verdicts.of_photo(kept.key)
    assert said.dismissed_at(hedy) == "stranger"
    assert len(said.rejected_at(ada)) == 1
    assert said.rejected_at(hedy) == set()


def test_a_gallery_that_cannot_be_written_still_knows_what_a_former_version_said(
    fake_gallery, shoot
):
    photo = shoot((ADA, 1), (HEDY, 1))
    confirm(fake_gallery, photo, "Ada", 1, new=True)
    keep_by_bytes(fake_gallery)
    make_read_only(fake_gallery)
    assert names_in(fake_gallery, photo)[0] == "Ada"
    assert select(fake_gallery, "SELECT identity FROM former_hash") == [(None,)]


@pytest.mark.parametrize("writable", [True, False], ids=["writable", "read-only"])
def test_a_former_version_kept_boxes_as_they_were_shown(fake_gallery, shoot, writable):
    photo = shoot((ADA, 1), (HEDY, 1))
    write_into(photo, orientation=MIRRORED)
    confirm(fake_gallery, photo, "Ada", 2, new=True)
    keep_by_bytes(fake_gallery)
    ((_, face),) = fake_gallery.people.faces_of("Ada")
    left, right = SIDE_PX, 2 * SIDE_PX  # as it was shown
    journal = store_of(fake_gallery).journal()
    with store_of(fake_gallery).transaction():
        journal.update("face", face.id, box_left=left, box_right=right)
        execute(fake_gallery, "UPDATE photo SET orientation = 1")
    if not writable:
        make_read_only(fake_gallery)
    assert names_in(fake_gallery, photo) == [None, "Ada"]
    if writable:
        write_into(photo)
        assert names_in(fake_gallery, photo) == ["Ada", None]


def test_a_face_is_enrolled_as_the_file_stores_it_and_told_as_it_is_shown(fake_gallery, shoot):
    photo = shoot((ADA, 1), (HEDY, 1))
    write_into(photo, orientation=MIRRORED)
    list(fake_gallery.enroll([("Ada", shoot((ADA, 2))), ("Ada", photo)]))
    (face,) = [face for path, face in fake_gallery.people.faces_of("Ada") if path == str(photo)]
    assert (face.box[0], face.shown[0]) == (0, SIDE_PX)


def test_forget_forgets_which_picture_the_bytes_were(fake_gallery, known, home):
    read = read_photo(known)
    names_in(fake_gallery, known)
    fake_gallery.forget("Ada")
    noted = "SELECT * FROM former_hash WHERE identity = ?"
    assert select(fake_gallery, noted, [read.identity]) == []
    left = (home / "gallery.db").read_bytes()
    for digest in (read.identity, hashlib.sha256(known.read_bytes()).hexdigest()):
        assert digest.encode() not in left


def test_photos_that_moved_get_their_new_path_immich_18933(fake_gallery, shoot, fake_model, home):
    photo = shoot((ADA, 1))
    list(fake_gallery.enroll([("Ada", photo)]))
    elsewhere = photo.parent.parent / "family" / "ada.png"
    elsewhere.parent.mkdir()
    photo.rename(elsewhere)
    list(fake_gallery.enroll([("Ada", elsewhere)]))
    ((path, _),) = fake_gallery.people.faces_of("Ada")
    assert path == str(elsewhere)
    fake_gallery.close()
    other = fake_model.__class__()
    other.fingerprint = "fa4e111111111111"
    assert migrate_gallery(home / "gallery.db", other).templates == 1


def test_a_copy_elsewhere_does_not_take_the_path_of_a_photo_that_is_there(fake_gallery, shoot):
    photo = shoot((ADA, 1))
    list(fake_gallery.enroll([("Ada", photo)]))
    names_in(fake_gallery, shoot((ADA, 1), name="copy.png"))
    ((path, _),) = fake_gallery.people.faces_of("Ada")
    assert path == str(photo)


def test_a_photo_whose_path_was_forgotten_stays_without_one(fake_gallery, shoot):
    photo = shoot((ADA, 1), (GRACE, 1))
    list(fake_gallery.enroll([("Ada", shoot((ADA, 2))), ("Grace", shoot((GRACE, 2)))]))
    confirm(fake_gallery, photo, "Ada", 1)
    confirm(fake_gallery, photo, "Grace", 2)
    fake_gallery.forget("Ada")
    names_in(fake_gallery, photo)
    store_of(fake_gallery).photos.move(read_photo(photo).identity, str(photo))
    assert None in [path for path, _ in fake_gallery.people.faces_of("Grace")]


def test_the_migration_notes_every_photo_that_a_former_version_knew(fake_gallery, shoot, home):
    confirm(fake_gallery, shoot((ADA, 1)), "Ada", new=True)
    keys = select(fake_gallery, "SELECT content_hash FROM photo")
    fake_gallery.close()
    with sqlite3.connect(home / "gallery.db") as db:  # schema 7 made from schema 6
        db.execute("DROP TABLE former_hash")
        for statement in [s for s in SCHEMA_7 if "former_hash" in s]:
            db.execute(statement)
        assert db.execute("SELECT content_hash FROM former_hash").fetchall() == keys
