import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
from fake_model import FakeModel, save_photo
from PIL import Image

pytest.importorskip("torch", reason="training needs the extra train")

from facesearch.errors import DataError
from facesearch.training.faces import HELD_OUT, held_out, read_people, read_shards

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
INDEX = Path(os.environ.get("FACESEARCH_DATA", SHARED)) / "faces" / "index.csv"


def row(identity, split, source):
    return {"identity": str(identity), "split": split, "source": source}


def test_the_last_people_of_a_source_are_held_out_in_numerical_order():
    rows = [row(n, "train", "fiw") for n in range(9000, 10600) for _ in range(2)]
    rows += [row(n, "train", "twfy") for n in range(10600, 10700)]
    rows += [row(n, "train", "celeba_crop") for n in range(20000, 20500)]
    rows += [row(n, "single", "fiw") for n in range(30000, 30100)]
    rows += [row(n, "val", "celeba_crop") for n in range(500)] + [row(-1, "unlabelled", "aaf")]
    assert held_out(rows[::-1]) == {
        "val": {*range(500)},
        "fiw": {*range(10200, 10600)},
        "twfy": {*range(10600, 10700)},  # no more than there are
    }


@pytest.mark.skipif(not INDEX.exists(), reason="the shared faces are not here")
def test_no_person_of_the_real_index_is_in_two_sets_and_no_source_is_held_out_completely():
    with INDEX.open() as stream:
        rows = list(csv.DictReader(stream))
    sets = held_out(rows)
    assert {name: len(people) for name, people in sets.items()} == {"val": 500} | HELD_OUT
    assert len(set.union(*sets.values())) == 500 + sum(HELD_OUT.values())
    for source in HELD_OUT:
        own = {int(r["identity"]) for r in rows if (r["split"], r["source"]) == ("train", source)}
        assert sets[source] < own
        assert max(own - sets[source]) < min(sets[source])
    splits = {r["split"] for r in rows if int(r["identity"]) in sets["fiw"] | sets["twfy"]}
    assert splits == {"train"}


def shards(folder, people, photos=2):
    """Write crops, each of one colour, of `people`, (identity, split, source) each; return it."""
    folder.mkdir()
    place, rows = 0, []
    with (folder / "faces_000.bin").open("wb") as shard:
        for identity, split, source in people:
            for photo in range(photos):
                crop, encoded = (
                    np.full((112, 112, 3), (identity, 10 * photo, 50), np.uint8),
                    io.BytesIO(),
                )
                Image.fromarray(crop).save(encoded, "WebP", lossless=True)
                size = shard.write(encoded.getvalue())
                rows.append(row(identity, split, source) | {"shard": "faces_000.bin"})
                rows[-1] |= {"offset": place, "bytes": size}
                place += size
    with (folder / "index.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


PEOPLE = [
    *[(n, "val", "celeba_crop") for n in (5, 3)],
    *[(n, "train", "celeba_crop") for n in (40, 41, 20)],
    *[(n, "train", "fiw") for n in (30, 31)],
    (50, "train", "twfy"),  # alone: held out, and alone in its set, which allows no search
    (60, "single", "fiw"),
]
FAMILIES = [(n, "train", "fiw") for n in range(100, 503)]  # three more than are held out


def test_held_out_people_validate_in_their_set_and_the_others_are_trained_on(tmp_path):
    told = []
    faces = read_shards(shards(tmp_path / "faces", PEOPLE), told.append)
    assert faces.sets == ("val", "fiw")
    assert faces.training.pictures.shape == (6, 3, 112, 112)
    red, green, blue = faces.training.pictures[:, :, 7, 9].numpy().T
    assert red.tolist() == [40, 40, 41, 41, 20, 20]
    assert faces.training.classes.tolist() == [1, 1, 2, 2, 0, 0]  # as the numbers go: 20, 40, 41
    assert (green.tolist(), set(blue)) == ([0, 10] * 3, {50})
    validation = faces.validation
    assert validation.pictures[:, 0, 7, 9].tolist() == [5, 5, 3, 3, 30, 30, 31, 31]
    of_crop = validation.groups[validation.classes]
    assert [faces.sets[group] for group in of_crop] == ["val"] * 4 + ["fiw"] * 4
    assert told == [14] * 14


def test_training_people_of_separately_measured_sources_have_groups_of_their_own(tmp_path):
    faces = read_shards(shards(tmp_path / "faces", [*PEOPLE[:5], *FAMILIES], photos=1))
    assert faces.training.groups.tolist() == [0, 0, 0, 1, 1, 1]  # 20, 40, 41; 100, 101, 102


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "faces_000.bin").write_bytes(b"x" * 9000), "cannot be read"),
        (lambda folder: (folder / "index.csv").write_text("identity\n7\n"), "cannot be read"),
        (lambda folder: (folder / "faces_000.bin").unlink(), "cannot be read"),
    ],
    ids=["no pictures", "other columns", "no shard"],
)
def test_unreadable_crops_raise_one_sentence(tmp_path, spoil, sentence):
    folder = shards(tmp_path / "faces", PEOPLE)
    spoil(folder)
    with pytest.raises(DataError, match=sentence):
        read_shards(folder)


def test_crops_of_too_few_people_are_refused(tmp_path):
    with pytest.raises(DataError, match="two of the split train"):
        read_shards(shards(tmp_path / "faces", PEOPLE[:3]))


def test_the_face_that_enrollment_would_take_is_taken_from_a_group_photo(tmp_path):
    save_photo(tmp_path / "Ann" / "1.png", (1, 0))
    save_photo(tmp_path / "Ann" / "2020" / "2.png", (2, 0), (1, 1))
    save_photo(tmp_path / "Bob" / "1.png", (2, 1))
    save_photo(tmp_path / "Bob" / "of somebody.png", None)
    save_photo(tmp_path / "loose.png", (3, 0))
    save_photo(tmp_path / "Nobody" / "1.png", None)
    (tmp_path / "Bob" / "broken.png").write_bytes(b"no picture")
    told = []
    people = read_people(tmp_path, FakeModel(), told.append)
    assert people.class_names == ("Ann", "Bob")
    assert people.classes.tolist() == [0, 0, 1]
    assert people.crops.shape == (3, 112, 112, 3)
    shown = people.crops[:, 56, 56, ::2]  # red: who, blue: which picture of them
    assert sorted(map(tuple, shown[:2].tolist())) == [(1, 0), (1, 1)]
    assert shown[2].tolist() == [2, 1]
    reasons = {Path(path).name: reason for path, reason in people.skipped}
    assert reasons["loose.png"] == "it is not in a person's folder"
    assert reasons["of somebody.png"] == reasons["1.png"] == "no face found"
    assert "broken.png" in reasons
    assert len(people.skipped) == 4
    assert told == [6] * 6


def test_photos_of_one_person_are_refused_with_the_first_unusable_photo(tmp_path):
    save_photo(tmp_path / "Ann" / "1.png", (1, 0))
    save_photo(tmp_path / "Bob" / "1.png", None)
    with pytest.raises(DataError, match=r"of 1 people .*Bob.*no face found.*two people or more"):
        read_people(tmp_path, FakeModel())
    with pytest.raises(DataError, match="is not a folder of people"):
        read_people(tmp_path / "Ann" / "1.png", FakeModel())
