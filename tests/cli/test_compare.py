import csv
import json
import shutil

import pytest


def test_verify_says_the_same_person_and_exits_0(facesearch, portraits, tmp_path):
    copy = shutil.copy(portraits.grace, tmp_path)
    result = facesearch("verify", portraits.grace, copy)
    assert result.exit_code == 0
    assert result.stdout.startswith("the same person (")


def test_verify_says_different_people_and_exits_1(facesearch, portraits):
    result = facesearch("verify", *portraits)
    assert result.exit_code == 1
    assert result.stdout.startswith("different people (")


def test_verify_prints_one_json_object(facesearch, portraits):
    answer = json.loads(facesearch("verify", *portraits, "--json").stdout)
    assert set(answer) == {"schema_version", "photo_a", "photo_b", "same", "probability", "llr"}
    assert answer["same"] is False
    assert answer["llr"] < 0


@pytest.mark.parametrize("photo", ["no_face", "empty", "text", "truncated"])
def test_verify_cannot_use_a_bad_photo(facesearch, portraits, bad_photos, photo):
    result = facesearch("verify", portraits.grace, bad_photos[photo])
    assert result.exit_code == 3
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert str(bad_photos[photo]) in result.stderr


def test_search_shows_the_nearest_first(facesearch, enrolled_gallery, portraits):
    args = ("search", portraits.grace, "--gallery", enrolled_gallery)
    lines = [line.split("\t") for line in facesearch(*args).stdout.splitlines()]
    assert [line[:3] for line in lines] == [
        ["1", "1", "Grace Hopper"],
        ["1", "2", "Eileen Collins"],
    ]
    (face,) = json.loads(facesearch(*args, "-k", 1, "--json").stdout)["faces"]
    (nearest,) = face["neighbours"]
    assert nearest["person"] == "Grace Hopper"
    assert nearest["score"] > 0.9
    rows = list(csv.reader(facesearch(*args, "--csv").stdout.splitlines()))
    assert rows[0] == ["face", "rank", "person", "score", "photo"]
    assert len(rows) == 3


def test_search_in_a_photo_without_a_face_exits_1(facesearch, enrolled_gallery, bad_photos):
    result = facesearch("search", bad_photos["no_face"], "--gallery", enrolled_gallery)
    assert result.exit_code == 1
    assert "No face found" in result.stderr


def test_search_for_0_neighbors_is_wrong_usage(facesearch, enrolled_gallery, portraits):
    args = ("search", portraits.grace, "-k", 0, "--gallery", enrolled_gallery)
    assert facesearch(*args).exit_code == 2
