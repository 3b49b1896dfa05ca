import csv
import io
import json
import shutil

import pytest
from PIL import Image


@pytest.fixture
def probe(tmp_path, portraits):
    """A new photo of Grace Hopper: other bytes than the enrolled one."""
    path = tmp_path / "probe.jpg"
    Image.open(portraits.grace).resize((410, 480)).save(path, quality=80)
    return path


@pytest.fixture
def stranger(facesearch, portraits, own_home):
    """A photo of somebody who is not enrolled; the user's own gallery has only Grace Hopper."""
    facesearch("enroll", portraits.grace, "--name", "Grace Hopper")
    return portraits.eileen


def test_a_known_face_gets_its_name(facesearch, enrolled_gallery, probe):
    result = facesearch("identify", probe, "--gallery", enrolled_gallery)
    assert result.exit_code == 0
    photo, face, person, probability, _ = result.stdout.rstrip("\n").split("\t")
    assert (photo, face, person) == (str(probe), "1", "Grace Hopper")
    assert probability.endswith("%")
    assert result.stderr == ""


def test_a_stranger_is_unknown_and_exits_1(facesearch, stranger):
    result = facesearch("identify", stranger)
    assert result.exit_code == 1
    assert "\tunknown\t" in result.stdout


def test_json_has_the_documented_keys(facesearch, enrolled_gallery, probe):
    result = facesearch("identify", probe, "--gallery", enrolled_gallery, "--json")
    photo = json.loads(result.stdout)
    assert list(photo) == ["schema_version", "photo", "width", "height", "faces", "error", "remark"]
    assert (photo["photo"], photo["width"], photo["height"]) == (str(probe), 410, 480)
    assert (photo["error"], photo["remark"]) == (None, None)
    (face,) = photo["faces"]
    assert set(face) == {
        *("box", "score", "person", "probability", "unknown_probability", "candidates"),
        *("margin", "alternatives", "decided_by", "dismissed_as", "also_like"),
    }
    left, top, right, bottom = face["box"]
    assert 0 < left < right < 410
    assert 0 < top < bottom < 480
    assert face["person"] == face["candidates"][0]["person"] == "Grace Hopper"
    assert face["probability"] == face["candidates"][0]["probability"] > 0.99
    assert face["decided_by"] == "machine"


def test_an_enrolled_photo_is_decided_by_the_human_who_enrolled_it(
    facesearch, enrolled_gallery, portraits
):
    result = facesearch("identify", portraits.grace, "--gallery", enrolled_gallery, "--json")
    (face,) = json.loads(result.stdout)["faces"]
    assert (face["person"], face["decided_by"], face["margin"]) == ("Grace Hopper", "human", None)


def test_bad_files_are_listed_and_the_rest_of_the_folder_is_done(
    facesearch, enrolled_gallery, probe, bad_photos, tmp_path
):
    folder = bad_photos["text"].parent
    shutil.copy(probe, folder / "grace.jpg")
    missing, nothing = tmp_path / "missing.jpg", tmp_path / "nothing"
    nothing.mkdir()
    args = ("identify", missing, folder, nothing, "--gallery", enrolled_gallery)
    result = facesearch(*args, "--json")
    assert result.exit_code == 3
    photos = [json.loads(line) for line in result.stdout.splitlines()]
    assert [photo["error"] is None for photo in photos] == [
        *(
            False,
            False,
            True,
            True,
            False,
            False,
        ),  # missing; empty, grace, no_face, text, truncated
        False,
    ]
    listed = result.stderr.split("Could not be used:\n")[1].splitlines()
    assert listed[0] == f"  {missing}: No such file or directory"
    assert listed[1] == f"  {bad_photos['empty']}: it is empty"
    assert listed[-1] == f"  {nothing}: there is no photo in this folder"
    assert len(listed) == 5
    table = facesearch(*args)
    assert "no_face.jpg\t\tno face found" in table.stdout
    assert "7 photos, 1 face: 1 known." in table.stderr


def test_a_photo_that_was_read_with_a_repair_is_named_and_told_on_stderr(
    facesearch, enrolled_gallery, probe
):
    probe.write_bytes(probe.read_bytes()[:-2])
    result = facesearch("identify", probe, "--gallery", enrolled_gallery)
    assert result.exit_code == 0
    assert "\tGrace Hopper\t" in result.stdout
    told = f"Read, but not as usual:\n  {probe}: the file ends a few bytes too early\n"
    assert result.stderr == told


def test_csv_guards_against_formulas(facesearch, portraits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    facesearch("enroll", portraits.grace, "--name", "=cmd|' /C calc'!A0")
    shutil.copy(portraits.grace, "-rf, +.jpg")
    result = facesearch("identify", "--csv", "--", "-rf, +.jpg")
    heading, row = csv.reader(io.StringIO(result.stdout))
    cells = dict(zip(heading, row, strict=True))
    assert cells["photo"] == "'-rf, +.jpg"
    assert cells["person"] == "'=cmd|' /C calc'!A0"
    assert float(cells["left"]) > 0


def test_names_are_not_read_as_markup(facesearch, portraits, own_home):
    facesearch("enroll", portraits.grace, "--name", "[bold]Grace[/nonsense]")
    result = facesearch("identify", portraits.grace)
    assert "\t[bold]Grace[/nonsense]\t" in result.stdout


@pytest.mark.parametrize("option", ["--fpir", "--prior"])
@pytest.mark.parametrize("value", ["0", "1", "-0.1", "nan", "often"])
def test_a_rate_outside_0_and_1_is_wrong_usage(facesearch, probe, option, value):
    assert facesearch("identify", probe, f"{option}={value}").exit_code == 2


def test_json_and_csv_exclude_each_other(facesearch, probe):
    assert facesearch("identify", probe, "--json", "--csv").exit_code == 2


def test_without_a_gallery_the_error_names_enroll(facesearch, probe):
    result = facesearch("identify", probe)
    assert result.exit_code == 4
    assert "facesearch enroll makes one" in result.stderr


def test_annotated_pictures_never_overwrite_a_file(facesearch, enrolled_gallery, probe, tmp_path):
    pytest.importorskip("facesearch.annotation")
    twin = tmp_path / "other" / "probe.jpg"
    twin.parent.mkdir()
    shutil.copy(probe, twin)
    before = probe.read_bytes()
    args = ("identify", probe, twin, "--gallery", enrolled_gallery, "--annotate", tmp_path)
    assert facesearch(*args).exit_code == 0
    assert probe.read_bytes() == before
    for name in ("probe-2.jpg", "probe-3.jpg"):
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "JPEG"
    assert not (tmp_path / "probe-4.jpg").exists()


def test_a_file_name_too_long_for_a_counter_is_cut(facesearch, enrolled_gallery, probe, tmp_path):
    pytest.importorskip("facesearch.annotation")
    long = probe.rename(tmp_path / f"{'é' * 125}.jpg")
    args = ("identify", long, "--gallery", enrolled_gallery, "--annotate", tmp_path / "named")
    for _ in range(2):
        assert facesearch(*args).exit_code == 0
    first, second = sorted((tmp_path / "named").glob("*.jpg"), key=lambda path: len(path.name))
    assert first.name == f"{'é' * 100}.jpg"
    assert second.name == f"{'é' * 100}-2.jpg"
