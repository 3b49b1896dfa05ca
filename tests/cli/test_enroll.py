import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from facesearch import Gallery
from facesearch_cli.enroll import some_from_all_over_first


@pytest.fixture
def people(tmp_path, portraits):
    """A folder with one subfolder per person."""
    folder = tmp_path / "people"
    for name, photo in (("Eileen", portraits.eileen), ("Grace", portraits.grace)):
        (folder / name).mkdir(parents=True)
        shutil.copy(photo, folder / name)
    return folder


def names(home):
    with Gallery(home, create=False) as gallery:
        return [person.name for person in gallery.people.all()]


def test_each_subfolder_becomes_a_person(facesearch, people, own_home):
    result = facesearch("enroll", people)
    assert result.exit_code == 0
    assert result.stdout.startswith("Enrolled 2 photos.\n2 people in ")
    assert names(own_home) == ["Eileen", "Grace"]


def test_enrolling_again_adds_nothing_and_exits_0(facesearch, people):
    facesearch("enroll", people)
    result = facesearch("enroll", people)
    assert result.exit_code == 0
    assert result.stdout.startswith("Enrolled 0 photos, 2 enrolled already.")


def test_enrolling_prints_the_command_that_undoes_it(facesearch, people, own_home):
    result = facesearch("enroll", people)
    (command,) = (line for line in result.stderr.splitlines() if line.startswith("To undo: "))
    assert "To undo: " not in facesearch("enroll", people).stderr  # nothing was enrolled
    assert facesearch(*command.removeprefix("To undo: facesearch ").split()).exit_code == 0
    assert names(own_home) == []


def test_with_name_all_files_show_that_person(facesearch, portraits, own_home):
    assert facesearch("enroll", portraits.grace, "--name", "Grace  Hopper ").exit_code == 0
    assert names(own_home) == ["Grace  Hopper"]


@pytest.mark.parametrize("given", ["file", "flat folder"])
def test_photos_without_a_name_are_wrong_usage_that_names_the_option(facesearch, people, given):
    folder = people / "Grace"
    path = folder if given == "flat folder" else next(folder.iterdir())
    result = facesearch("enroll", path)
    assert result.exit_code == 2
    assert "--name" in result.stderr


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\udcff"])
def test_an_invalid_name_is_wrong_usage(facesearch, portraits, name):
    result = facesearch("enroll", portraits.grace, "--name", name)
    assert result.exit_code == 2
    assert "not a valid person name" in result.stderr


def test_bad_files_are_listed_and_the_rest_of_the_folder_is_done(facesearch, people, bad_photos):
    for photo in bad_photos.values():
        shutil.copy(photo, people / "Grace")
    result = facesearch("enroll", people, people / "nowhere")
    assert result.exit_code == 3
    assert result.stdout.startswith("Enrolled 2 photos, 5 not usable.")
    listed = result.stderr.split("Not enrolled:\n")[1].splitlines()
    assert len(listed) == 5
    assert f"  {people / 'Grace' / 'no_face.jpg'}: no face found" in listed
    assert f"  {people / 'Grace' / 'empty.jpg'}: it is empty" in listed
    assert f"  {people / 'nowhere'}: there is no such file or folder" in listed


def test_a_photo_beside_the_subfolders_is_listed_not_guessed(facesearch, people, portraits):
    shutil.copy(portraits.grace, people / "everyone.jpg")
    result = facesearch("enroll", people)
    assert result.exit_code == 3
    assert "everyone.jpg: it is beside the people's folders" in result.stderr


@pytest.mark.parametrize(
    ("photo", "exit_code"),
    [("no_face", 1), ("empty", 3), ("text", 3), ("truncated", 3)],
)
def test_a_run_that_enrolls_nobody_says_so(facesearch, bad_photos, photo, exit_code):
    result = facesearch("enroll", bad_photos[photo], "--name", "Nobody")
    assert result.exit_code == exit_code
    assert "Enrolled 0 photos" in result.stdout
    assert str(bad_photos[photo]) in result.stderr


def test_an_empty_folder_is_listed(facesearch, tmp_path):
    (tmp_path / "nothing").mkdir()
    result = facesearch("enroll", tmp_path / "nothing")
    assert result.exit_code == 1
    assert "there is no photo in it" in result.stderr


def test_json_is_one_object_per_photo(facesearch, people, bad_photos):
    shutil.copy(bad_photos["text"], people / "Grace")
    result = facesearch("enroll", people, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["schema_version"] for line in lines} == {1}
    assert [(line["person"], line["status"]) for line in lines] == [
        ("Eileen", "enrolled"),
        ("Grace", "enrolled"),
        ("Grace", "unreadable"),
    ]
    assert all(line["look_alikes"] == [] for line in lines)


def test_a_look_alike_is_reported_with_a_command_that_compares_them(
    facesearch, portraits, tmp_path
):
    from PIL import Image

    facesearch("enroll", portraits.grace, "--name", "Grace")
    mirrored = tmp_path / "it's her.png"
    Image.open(portraits.grace).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    result = facesearch("enroll", mirrored, "--name", "Someone else")
    assert "Someone else looks like Grace (" in result.stderr
    assert "one person under two names?" in result.stderr
    assert "facesearch verify '" in result.stderr


def test_file_names_cannot_send_control_characters_to_the_terminal(facesearch, people, portraits):
    evil = os.fsencode(people) + b"/Grace/\x1b[31m\xff.png"
    shutil.copy(portraits.grace, evil)
    latin = people / os.fsdecode(b"Zo\xeb")
    latin.mkdir()
    shutil.copy(portraits.eileen, latin)
    result = facesearch("enroll", people)
    assert result.exit_code == 3
    assert "\x1b" not in result.output
    assert "is not a valid person name" in result.stderr


def test_ctrl_c_keeps_what_is_stored_and_says_how_to_continue(
    command, people, portraits, tmp_path, own_home
):
    portrait = Image.open(portraits.grace)
    for number in range(100):  # the same face in other pictures
        portrait.paste((2 * number, 0, 0), (0, 0, 16, 16))
        portrait.save(people / "Grace" / f"{number}.jpg")
    process = subprocess.Popen(
        [*command, "enroll", people, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = [process.stdout.readline() for _ in range(5)]  # so something is stored
    process.send_signal(signal.SIGINT)
    # not communicate(): it would miss the lines that readline has read ahead
    with process:
        said, errors = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors
    photos = [json.loads(line) for line in [*first, *said.splitlines()]]
    stored = [photo["photo"] for photo in photos if photo["status"] == "enrolled"]
    with Gallery(own_home, create=False) as gallery:
        people = [person.name for person in gallery.people.all()]
        kept = {path for name in people for path, _ in gallery.people.faces_of(name)}
        assert len(stored) >= 5
        assert set(stored) <= kept
        assert len(kept) < 102  # it was interrupted
        assert gallery.upkeep.check() == []


def test_a_full_disk_is_one_sentence(facesearch_process, people, own_home):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    result = facesearch_process("enroll", people, preexec_fn=little_room)
    assert result.returncode == 4
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert str(own_home) in result.stderr


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_one_sentence(facesearch, people, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    result = facesearch("enroll", people, "--gallery", locked)
    assert result.exit_code == 4
    assert len(result.stderr.splitlines()) == 1


def test_a_trash_or_a_nas_folder_becomes_no_person(facesearch, people, portraits, own_home):
    for name in ("facesearch-trash", "#recycle", "@eaDir"):
        (people / name).mkdir()
        shutil.copy(portraits.grace, people / name / "old.jpg")
    result = facesearch("enroll", people)
    assert result.exit_code == 0
    assert names(own_home) == ["Eileen", "Grace"]
    assert "3 folders for trash or thumbnails: " in result.stderr


def test_annotated_pictures_become_no_person(facesearch, people, own_home):
    facesearch("enroll", people)
    facesearch("identify", people, "--annotate", people / "named")
    assert len(list((people / "named").glob("*.jpg"))) == 2
    result = facesearch("enroll", people)
    assert result.stdout.startswith("Enrolled 0 photos, 2 enrolled already.")
    assert names(own_home) == ["Eileen", "Grace"]
    assert "2 made by facesearch itself" in result.stderr


@pytest.mark.parametrize("kind", ["empty", "link"])
def test_a_persons_folder_that_yields_nothing_is_told(facesearch, people, kind):
    if kind == "empty":
        (people / "Zoe").mkdir()
        (people / "Zoe" / "film.mov").touch()
    else:
        (people / "Zoe").symlink_to(people / "Grace")
    result = facesearch("enroll", people)
    assert result.exit_code == 3
    assert f"{people / 'Zoe'}: " in result.stderr
    assert ("1 .mov" in result.stderr) == (kind == "empty")


def test_a_folder_of_folders_of_people_is_asked_about(facesearch, people, own_home):
    result = facesearch("enroll", people.parent)
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert str(people) in result.stderr
    assert not own_home.exists()
    assert facesearch("enroll", people.parent, "--yes").exit_code in (0, 3)
    assert names(own_home) == ["people"]


def test_a_folder_of_different_people_is_no_person_unless_one_says_so(
    facesearch, tmp_path, portraits, own_home, monkeypatch
):
    folder = tmp_path / "all" / "party"
    folder.mkdir(parents=True)
    for number in range(4):
        shutil.copy(portraits.grace, folder / f"{number}.jpg")
    monkeypatch.setattr("facesearch.gallery.enrolling.agreement", lambda photos: (1, len(photos)))
    result = facesearch("enroll", folder.parent)
    assert result.exit_code == 1
    assert "party: only 1 of the first 4 photos show the same person" in result.stderr
    assert "--yes" in result.stderr
    assert names(own_home) == []
    assert facesearch("enroll", folder.parent, "--yes").exit_code == 0
    assert names(own_home) == ["party"]


def test_a_list_of_unused_photos_is_cut_at_ten_with_a_count(facesearch, people):
    for number in range(12):
        (people / "Grace" / f"{number:02}.png").touch()
    result = facesearch("enroll", people)
    assert result.exit_code == 3
    assert "09.png" in result.stderr
    assert "10.png" not in result.stderr
    assert result.stderr.rstrip().endswith("and 2 more")


def test_a_parent_folder_sorted_by_person_is_judged_by_photos_from_all_over():
    paths = [Path(f"{person}/{number}.jpg") for person in "ABCDEF" for number in range(5)]
    ordered = some_from_all_over_first(paths)
    assert {path.parent.name for path in ordered[:6]} == set("ABCDEF")
    assert sorted(ordered) == paths
    assert some_from_all_over_first(paths[:3]) == paths[:3]
    assert some_from_all_over_first([]) == []
