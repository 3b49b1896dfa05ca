"""Forgetting a person: no file of the gallery's folder holds a byte of theirs afterwards."""

import itertools
import signal
import sqlite3
import subprocess
import sys
import unicodedata
from base64 import b64encode
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from deciding import confirm, dismiss, reject
from fake_model import SIDE_PX, embedding, save_photo
from gallery_rows import connection_of, forget_rows, live_index_of, select, set_connection, store_of

from facesearch.alignment import CROP_LANDMARKS
from facesearch.errors import FacesearchError, GalleryError, UnknownPerson
from facesearch.gallery import import_gallery, live_index
from facesearch.photo import read_photo
from facesearch.storage import sqlite
from facesearch.storage.codec import TemplateCodec

NAME, FORMER_NAME = "Zoë Müller-Åström", "Zoë Lindqvist"
ZOE, OTHERS = 77, {"Ada": 10, "Grace": 20, "Hedy": 30}
PLACE = 3  # of the face in its photo: no other face has these landmarks


def hashes(photo):
    """Return the picture's identity and the hash of the file's bytes."""
    read = read_photo(photo)
    return [read.identity.encode(), read.content_hash.encode()]


def traces(photo):
    """Return everything that reveals Zoë, a few bytes each."""
    names = [
        unicodedata.normalize(form, name).encode()
        for form in ("NFC", "NFD")
        for name in (NAME, FORMER_NAME)
    ]
    halves = embedding(ZOE, 1).astype("<f2").tobytes()
    landmarks = (CROP_LANDMARKS / 2 + (PLACE * SIDE_PX, 0)).astype("<f4").tobytes()
    journalled = b64encode(halves)  # as the decision that removed the face holds it
    # as the index holds it: read from the file and scaled to length 1 again
    row = TemplateCodec().decode([halves])[0].tobytes()
    return [
        *names,
        hashes(photo)[0],
        b"zoes-folder",
        halves[:24],
        halves[-24:],
        landmarks[-24:],
        row[:24],
        journalled[:32],
        b64encode(landmarks)[-32:],
    ]


def found_in(folder, wanted):
    """Return which of `wanted` are in any file below `folder`, or in a file's name."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    everything = b"\0".join(file.read_bytes() for file in files)
    everything += "\0".join(str(file) for file in files).encode()
    return [trace for trace in wanted if trace in everything]


@pytest.fixture
def portrait(tmp_path):
    return save_photo(tmp_path / "zoes-folder" / "a.png", None, None, None, (ZOE, 1))


@pytest.fixture
def gallery(make_gallery, shoot, portrait, monkeypatch):
    """A gallery of three others and of Zoë, who was renamed once, with an index file."""
    monkeypatch.setattr(live_index, "INDEX_FILE_FROM", 2)
    opened = make_gallery()
    pairs = [(name, shoot((number, k))) for name, number in OTHERS.items() for k in (1, 2)]
    list(opened.enroll([*pairs, (FORMER_NAME, portrait)]))
    opened.people.rename(FORMER_NAME, NAME)
    opened.upkeep.rebuild()
    return opened


def assert_others_are_untouched(gallery, shoot):
    people = {person.name: person.templates for person in gallery.people.all()}
    assert people == dict.fromkeys(OTHERS, 2)
    probes = gallery.identify([shoot((number, 9)) for number in OTHERS.values()])
    assert [photo.faces[0].person for photo in probes] == list(OTHERS)
    assert gallery.upkeep.check() == []


def test_forget_leaves_no_byte_compreface_1321(gallery, home, shoot, portrait):
    wanted = traces(portrait)
    kinds = [wanted[0], wanted[1], *wanted[4:-2]]  # names are stored composed
    assert found_in(home, wanted) == kinds, "the test would not notice remains"
    gone = gallery.forget(unicodedata.normalize("NFD", f" {NAME} "))
    assert gone == {"templates": 1, "photos": 1, "decisions": 2, "index files": 1}
    assert found_in(home, wanted) == []
    assert_others_are_untouched(gallery, shoot)
    assert found_in(home, wanted) == []


def test_no_open_gallery_finds_a_forgotten_person(gallery, make_gallery, portrait):
    other = make_gallery()
    assert [f.person for p in other.identify([portrait]) for f in p.faces] == [NAME]
    gallery.forget(NAME)
    for opened in (gallery, other):
        (photo,) = opened.identify([portrait])
        assert [face.person for face in photo.faces] == [None]
        assert [candidate.person for candidate in photo.faces[0].candidates if candidate] != [NAME]
        with pytest.raises(UnknownPerson):
            opened.forget(NAME)


def test_a_forgotten_person_can_be_enrolled_again(gallery, portrait):
    gallery.forget(NAME)
    (again,) = gallery.enroll([(NAME, portrait)])
    assert again.status == "enrolled"
    assert gallery.upkeep.check() == []


def test_a_group_photo_keeps_its_other_people_but_not_the_path(gallery, home, shoot, tmp_path):
    group = save_photo(tmp_path / "zoes-folder" / "group.png", (10, 5), None, (ZOE, 5))
    done = gallery.enroll([(NAME, group), ("Ada", group)])
    assert [enrollment.status for enrollment in done] == ["enrolled"] * 2
    theirs = embedding(ZOE, 5).astype("<f2").tobytes()[:24]
    assert found_in(home, [theirs]) == [theirs]
    gallery.forget(NAME)
    assert found_in(home, [theirs, b"zoes-folder"]) == []
    assert [face.person for p in gallery.identify([group]) for face in p.faces] == ["Ada", None]
    assert gallery.upkeep.check() == []


def test_another_persons_path_with_the_name_in_it_is_blanked(gallery, home, tmp_path):
    folders = [
        unicodedata.normalize("NFD", f"with {NAME.upper()}"),
        f"{NAME}s",  # another word
    ]
    for k, folder in enumerate(folders):
        photo = save_photo(tmp_path / folder / "ada.png", (10, 50 + k))
        list(gallery.enroll([("Ada", photo)]))
    gallery.forget(NAME)
    paths = [path for path, _ in gallery.people.faces_of("Ada")][-2:]
    assert paths == [None, str(tmp_path / folders[1] / "ada.png")]


@pytest.mark.parametrize("name", OTHERS)
def test_forgetting_one_person_never_touches_anothers_faces_immich_31507(gallery, shoot, name):
    faces = {other: gallery.people.faces_of(other) for other in OTHERS if other != name}
    gallery.forget(name)
    assert {other: gallery.people.faces_of(other) for other in faces} == faces
    probes = gallery.identify([shoot((number, 9)) for number in OTHERS.values()])
    assert [photo.faces[0].person for photo in probes] == [
        other if other in faces else None for other in OTHERS
    ]


def test_everyone_can_be_forgotten(gallery, home, shoot, portrait):
    for person in gallery.people.all():
        gallery.forget(person.name)
    assert (
        gallery.upkeep.info() | {"decision": 4, "person": 0, "template": 0} == gallery.upkeep.info()
    )
    assert [f.person for p in gallery.identify([shoot((10, 9))]) for f in p.faces] == [None]
    assert gallery.upkeep.check() == []
    assert found_in(home, [name.encode() for name in OTHERS] + traces(portrait)) == []


def test_an_idle_program_that_has_the_gallery_open_does_not_prevent_erasing(
    gallery, make_gallery, home, portrait
):
    other = make_gallery()
    assert len(other.people.all()) == 4
    gallery.forget(NAME)
    assert found_in(home, traces(portrait)) == []


def test_bytes_that_another_programs_snapshot_protects_are_reported_and_erased_later(
    gallery, make_gallery, home, portrait, monkeypatch, shoot
):
    monkeypatch.setattr(sqlite, "ERASE_TIMEOUT_S", 0.05)
    other = make_gallery()
    with store_of(other).snapshot():
        other.people.all()
        with pytest.raises(GalleryError, match=r"in use by another program.*gallery check"):
            gallery.forget(NAME)
        assert [person.name for person in gallery.people.all()] == list(OTHERS)
        assert any("in use by another program" in problem for problem in gallery.upkeep.check())
        assert found_in(home, traces(portrait)) != []
    assert gallery.upkeep.check() == []
    assert found_in(home, traces(portrait)) == []
    assert_others_are_untouched(gallery, shoot)


def test_another_programs_transaction_prevents_erasing(gallery, make_gallery, monkeypatch):
    monkeypatch.setattr(sqlite, "ERASE_TIMEOUT_S", 0.05)
    other = make_gallery()
    forget_rows(gallery, NAME)
    with store_of(other).transaction(), pytest.raises(GalleryError, match="another program"):
        gallery.upkeep.erase()
    assert store_of(gallery).erasure_is_due()


def test_a_gallery_opens_although_an_erasure_cannot_be_finished(
    gallery, make_gallery, monkeypatch, shoot, caplog
):
    monkeypatch.setattr(sqlite, "ERASE_TIMEOUT_S", 0.05)
    forget_rows(gallery, NAME)
    with store_of(gallery).snapshot():
        store_of(gallery).people.all()
        assert_known = make_gallery().identify([shoot((10, 9))])
        assert [face.person for photo in assert_known for face in photo.faces] == ["Ada"]
    assert "still holds bytes of what was deleted" in caplog.text
    assert NAME not in caplog.text


FORGET_AND_DIE = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from fake_model import FakeModel
from gallery_rows import connection_of, store_of
from facesearch.gallery import Gallery
gallery = Gallery(Path({path!r}), FakeModel())
steps = {steps}
def die():
    os.kill(os.getpid(), signal.SIGKILL)
store = store_of(gallery)
erase = store.erase
def dying_erase():
    # SQLite calls back while it copies the file
    connection_of(gallery).set_progress_handler(die, steps)
    erase()
store.erase = die if steps == 0 else dying_erase
gallery.forget({name!r})
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot be killed like that")
@pytest.mark.parametrize("steps", [0, 5, 60])
def test_a_killed_erasure_is_finished_at_the_next_opening(
    gallery, make_gallery, home, portrait, shoot, steps
):
    code = FORGET_AND_DIE.format(
        tests=str(Path(__file__).parents[1]), path=str(gallery.path), name=NAME, steps=steps
    )
    gallery.close()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with closing(sqlite3.connect(gallery.path)) as file:
        assert file.execute("SELECT count(*) FROM scrub_due").fetchone() != (0,)
    opened = make_gallery()
    assert select(opened, "SELECT * FROM scrub_due") == []
    assert found_in(home, traces(portrait)) == []
    assert_others_are_untouched(opened, shoot)


def test_two_people_forgotten_at_once_are_both_erased(gallery, make_gallery, home, portrait):
    """Another program forgets Grace while the file is being rewritten to erase Zoë."""
    other = make_gallery()
    connection = connection_of(gallery)

    class Meanwhile:
        def __getattr__(self, name):
            return getattr(connection, name)

        def execute(self, sql, *values):
            result = connection.execute(sql, *values)
            if sql == "VACUUM":
                forget_rows(other, "Grace")
            return result

    set_connection(gallery, Meanwhile())
    gallery.forget(NAME)
    set_connection(gallery, connection)
    assert store_of(gallery).erasure_is_due()
    make_gallery()
    assert not store_of(gallery).erasure_is_due()
    assert found_in(home, [*traces(portrait), b"Grace"]) == []


def test_unfinished_index_files_are_erased_too(gallery, home, portrait):
    unfinished = home / "gallery.db-index" / "beef-1-x.tmp"
    unfinished.write_bytes(embedding(ZOE, 1).astype("<f2").tobytes())
    assert gallery.forget(NAME)["index files"] == 2
    assert found_in(home, traces(portrait)) == []


def test_an_index_with_a_person_who_was_forgotten_meanwhile_is_not_saved(
    gallery, make_gallery, home, portrait
):
    other = make_gallery()
    with store_of(other).snapshot():
        view = live_index_of(other).current()
    view.filed_seq = -1
    gallery.forget(NAME)
    live_index_of(other)._keep(view)
    assert found_in(home, traces(portrait)) == []


def test_a_copy_has_no_byte_of_a_forgotten_person(gallery, home, tmp_path, fake_model, portrait):
    forget_rows(gallery, NAME)  # not yet erased
    gallery.upkeep.export(tmp_path / "copy" / "export.db")
    import_gallery(tmp_path / "copy" / "export.db", tmp_path / "copy" / "b.db", fake_model).close()
    assert found_in(tmp_path / "copy", traces(portrait)) == []


def test_the_log_says_that_a_person_was_forgotten_but_not_who(gallery):
    gallery.forget(NAME)
    rows = select(
        gallery, "SELECT made_by, person_id, face_id, payload FROM decision WHERE kind = 'forget'"
    )
    assert rows == [("human", None, None, "{}")]


# What was decided about them


def take_in_wrongly_and_out(gallery, portrait, shoot):
    """Zoë's face was enrolled as Ada's: the decision that removed it holds its template."""
    gallery.forget(NAME)
    confirm(gallery, portrait, "Ada")
    reject(gallery, portrait, "Ada")
    list(gallery.enroll([(NAME, portrait)]))


def take_out_and_back(gallery, portrait, shoot):
    reject(gallery, portrait, NAME)
    gallery.history.undo()


def move_back_and_forth(gallery, portrait, shoot):
    confirm(gallery, portrait, "Ada")
    confirm(gallery, portrait, NAME)


def merge_into_her(gallery, portrait, shoot):
    list(gallery.enroll([("Zoë", shoot((ZOE, 3)))]))
    gallery.people.rename("Zoë", f"{NAME} (2)")
    gallery.people.merge([f"{NAME} (2)"], NAME)


def merge_and_undo(gallery, portrait, shoot):
    gallery.people.merge(["Ada"], NAME)
    gallery.history.undo()


def split_and_undo(gallery, portrait, shoot):
    list(gallery.enroll([(NAME, shoot((ZOE, 3)))]))
    gallery.people.split(NAME, [portrait], f"{FORMER_NAME} (2)")
    gallery.people.rename(f"{FORMER_NAME} (2)", f"{FORMER_NAME} (3)")
    gallery.history.undo()
    gallery.history.undo()


def tell_apart(gallery, portrait, shoot):
    gallery.people.not_same("Ada", NAME)
    gallery.duplicates.not_same_photos([("0" * 64, read_photo(portrait).identity)])


def reject_others_on_her_photo(gallery, portrait, shoot):
    reject(gallery, portrait, "Ada")
    reject(gallery, portrait, "Grace")
    gallery.history.undo()


def call_her_a_stranger_and_take_it_back(gallery, portrait, shoot):
    """Zoë's face is dismissed before it is enrolled and after."""
    gallery.forget(NAME)
    dismiss(gallery, portrait, "stranger")
    confirm(gallery, portrait, NAME, new=True)
    dismiss(gallery, portrait, "no face")
    gallery.history.undo()


def dismiss_a_stranger_beside_her(gallery, portrait, shoot):
    photo = save_photo(portrait.parent / "beside.png", (ZOE, 4), (50, 1))
    list(gallery.enroll([(NAME, photo)]))
    dismiss(gallery, photo, "stranger", 2)


def call_her_a_stranger_at_last(gallery, portrait, shoot):
    dismiss(gallery, portrait, "stranger")


def name_ada_after_her(gallery, portrait, shoot):
    gallery.people.rename("Ada", f"not {NAME}")
    gallery.history.undo()


def lose_the_photo_of_ada_in_her_folder(gallery, portrait, shoot):
    photo = save_photo(portrait.parent / NAME / "ada.png", (10, 77))
    list(gallery.enroll([("Ada", photo)]))
    reject(gallery, photo, "Ada")


def take_out_of_adas_and_of_hers(gallery, portrait, shoot):
    confirm(gallery, portrait, "Ada")
    gallery.people.take_out([portrait], "Ada")
    list(gallery.enroll([(NAME, portrait)]))
    gallery.people.take_out([portrait], NAME)
    gallery.history.undo()


def take_out_of_adas_whose_it_was_first(gallery, portrait, shoot):
    """Only its place in the photo reveals that the removed face is Zoë's."""
    gallery.forget(NAME)
    confirm(gallery, portrait, "Ada")
    gallery.people.take_out([portrait], "Ada")
    list(gallery.enroll([(NAME, portrait)]))


def take_out_and_say_who_it_is_not(gallery, portrait, shoot):
    """No face is enrolled there any more, but what was said since is about her face."""
    gallery.people.take_out([portrait], NAME)
    reject(gallery, portrait, "Ada")
    dismiss(gallery, portrait, "no face")
    dismiss(gallery, portrait, "stranger")


def undo_her_enrollment_and_what_was_said_since(gallery, portrait, shoot):
    list(gallery.enroll([(NAME, shoot((ZOE, 3)))]))
    gallery.people.take_out([portrait], NAME)
    dismiss(gallery, portrait, "stranger")
    gallery.history.undo()


STORIES = [
    take_in_wrongly_and_out,
    take_out_and_back,
    move_back_and_forth,
    merge_into_her,
    merge_and_undo,
    split_and_undo,
    tell_apart,
    reject_others_on_her_photo,
    call_her_a_stranger_and_take_it_back,
    call_her_a_stranger_at_last,
    dismiss_a_stranger_beside_her,
    name_ada_after_her,
    lose_the_photo_of_ada_in_her_folder,
    take_out_of_adas_and_of_hers,
    take_out_of_adas_whose_it_was_first,
    take_out_and_say_who_it_is_not,
    undo_her_enrollment_and_what_was_said_since,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_forget_leaves_no_byte_of_the_decisions_about_a_person(
    gallery, home, shoot, portrait, story
):
    story(gallery, portrait, shoot)
    wanted = traces(portrait)
    gallery.forget(NAME)
    assert found_in(home, wanted) == []
    assert gallery.upkeep.check() == []
    assert {person.name for person in gallery.people.all()} == set(OTHERS)
    assert store_of(gallery).verdicts.not_same() == []
    assert store_of(gallery).verdicts.not_same_photos() == set()
    assert select(gallery, "SELECT 1 FROM dismissal") == []
    adas = 1 if story is lose_the_photo_of_ada_in_her_folder else 0
    assert len(select(gallery, "SELECT 1 FROM rejection")) == adas


def test_the_bytes_of_decisions_about_a_person_can_be_found(gallery, home, shoot, portrait):
    """Otherwise the test before would pass without searching for the right bytes."""
    take_in_wrongly_and_out(gallery, portrait, shoot)
    assert {*traces(portrait)[-2:]} <= {*found_in(home, traces(portrait))}


@pytest.mark.slow
def test_forget_after_any_two_stories_leaves_no_byte(make_gallery, tmp_path, shoot):
    portrait = save_photo(tmp_path / "zoes-folder" / "a.png", None, None, None, (ZOE, 1))
    for k, stories in enumerate(itertools.permutations(STORIES[1:8], 2)):
        home = tmp_path / "homes" / str(k)
        with make_gallery(home / "gallery.db") as gallery:
            people = [(name, shoot((number, 1))) for name, number in OTHERS.items()]
            list(gallery.enroll([*people, (FORMER_NAME, portrait)]))
            gallery.people.rename(FORMER_NAME, NAME)
            for story in stories:
                with suppress(FacesearchError):  # the first may forbid the second
                    story(gallery, portrait, shoot)
            gallery.forget(NAME)
            assert found_in(home, traces(portrait)) == [], stories
            assert gallery.upkeep.check() == []


def test_decisions_about_others_stay_in_force_and_undoable(gallery, shoot, portrait):
    group = shoot((ZOE, 5), (10, 5))
    confirm(gallery, group, NAME, 1)
    gallery.people.not_same("Ada", "Grace")
    reject(gallery, group, "Hedy", 2)
    confirm(gallery, group, "Ada", 2)
    before = {d.id: d for d in gallery.history.list("Ada") if d.kind != "enroll"}
    assert {d.photo for d in before.values()} == {None, str(group)}
    gallery.forget(NAME)
    after = {d.id: d for d in gallery.history.list("Ada") if d.kind != "enroll"}
    assert after.keys() == before.keys()
    assert {d.photo for d in after.values()} == {None}, "her photo's path is hers"
    assert [c.person for c in next(gallery.identify([group])).faces[1].candidates] == ["Ada"]
    for _ in range(3):
        gallery.history.undo()
    assert store_of(gallery).verdicts.not_same() == select(gallery, "SELECT * FROM rejection") == []
    assert gallery.upkeep.check() == []


def test_verdicts_on_faces_that_a_human_said_are_not_hers_outlive_her(gallery, shoot):
    """She was enrolled from these photos once, by mistake."""
    rejected, moved, confirmed, still_adas = (shoot((50, k)) for k in (1, 2, 3, 4))
    list(gallery.enroll((NAME, photo) for photo in (rejected, moved, confirmed, still_adas)))
    reject(gallery, rejected, NAME)
    dismiss(gallery, rejected, "stranger")
    gallery.people.move([moved], NAME, "Ada")
    dismiss(gallery, moved, "stranger")
    for photo in (confirmed, still_adas):
        gallery.people.take_out([photo], NAME)
        confirm(gallery, photo, "Ada")
        reject(gallery, photo, "Hedy")
    taken_out = gallery.people.take_out([confirmed], "Ada")
    gallery.forget(NAME)
    faces = [photo.faces[0] for photo in gallery.identify([rejected, moved])]
    assert [face.dismissed_as for face in faces] == ["stranger", "stranger"]
    assert len(select(gallery, "SELECT 1 FROM rejection")) == 2
    gallery.history.undo(taken_out.id)
    assert next(gallery.identify([confirmed])).faces[0].person == "Ada"
    assert gallery.upkeep.check() == []


def test_a_decision_that_was_also_about_a_forgotten_person_cannot_be_undone(gallery, shoot):
    merge = gallery.people.merge(["Grace", NAME], "Ada")
    gallery.history.undo()
    gallery.forget(NAME)
    with pytest.raises(GalleryError, match=f"no decision {merge.id}"):
        gallery.history.undo(merge.id)
    assert {person.name: person.templates for person in gallery.people.all()} == dict.fromkeys(
        OTHERS, 2
    )


def test_a_decision_and_its_undoing_are_forgotten_together(gallery, portrait):
    """The undoing reveals where Zoë's face is; what it undid does not, but cannot stay alone."""
    gallery.forget(NAME)
    confirmed = confirm(gallery, portrait, "Ada")
    gallery.history.undo()
    list(gallery.enroll([(NAME, portrait)]))
    gallery.forget(NAME)
    assert confirmed.id not in {decision.id for decision in gallery.history.list()}


def test_verdicts_on_other_faces_of_a_photo_that_only_she_is_enrolled_from_go_too(
    gallery, home, tmp_path
):
    photo = save_photo(tmp_path / "zoes-folder" / "two.png", (ZOE, 6), (10, 6))
    confirm(gallery, photo, NAME, 1)
    reject(gallery, photo, "Hedy", 2)
    (identity, *_) = hashes(photo)
    assert found_in(home, [identity]) == [identity]
    gallery.forget(NAME)
    assert found_in(home, hashes(photo)) == []
    assert gallery.upkeep.check() == []


def test_decisions_from_before_those_about_a_forgotten_person_can_still_be_undone(
    gallery, tmp_path, shoot
):
    """A rejection in her photo is gone; a merge still lists the faces of others."""
    gallery.people.merge(["Grace"], "Hedy")
    gallery.people.move([shoot((20, 1))], "Hedy", NAME)
    photo = save_photo(tmp_path / "zoes-folder" / "two.png", (ZOE, 6), (10, 6))
    confirm(gallery, photo, NAME, 1)
    reject(gallery, photo, "Hedy", 2)
    gallery.forget(NAME)
    assert gallery.history.undo().summary.endswith("merged Grace into Hedy (2 faces)")
    assert {person.name: person.templates for person in gallery.people.all()} == {
        **OTHERS,
        "Ada": 2,
        "Grace": 1,
        "Hedy": 2,
    }
    assert gallery.upkeep.check() == []


def test_a_person_who_was_merged_into_another_is_forgotten_with_them(gallery, home, portrait):
    gallery.people.merge([NAME], "Ada")
    with pytest.raises(UnknownPerson):
        gallery.forget(NAME)
    gallery.forget("Ada")
    assert found_in(home, [*traces(portrait), b"Ada"]) == []


def test_a_person_whose_enrollment_was_undone_can_still_be_forgotten(gallery, home, portrait):
    gallery.history.undo()  # of the last name
    gallery.history.undo()
    assert found_in(home, traces(portrait)) != []
    gone = gallery.forget(FORMER_NAME)
    assert (gone["templates"], gone["decisions"]) == (0, 4)
    assert found_in(home, traces(portrait)) == []
    with pytest.raises(UnknownPerson):
        gallery.forget(FORMER_NAME)
    assert gallery.upkeep.check() == []


def test_embeddings_of_two_people_do_not_share_bytes():
    """Otherwise a test could take another person's template for Zoë's."""
    rows = np.stack([embedding(person, 1) for person in (*OTHERS.values(), ZOE)]).astype("<f2")
    assert len({row.tobytes()[:24] for row in rows}) == len(rows)
