"""A model of two codes: the first finds candidates, the whole template decides who it is.

`painted` is a real model folder whose codes are painted into pictures. Elsewhere faces are made up
(fake_model.py), and the index holds the first SEARCH_DIM of their 64 numbers.
"""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gallery_rows import execute, live_index_of, store_of

pytest.importorskip("onnx", reason="onnx, which writes the model of these tests, is not installed")

import fake_model
from fake_model import FakeModel, embedding
from image_model import SIDE_PX, pooled, write_model
from PIL import Image

from facesearch.candidates import CANDIDATES, CANDIDATES_OTHER_ORDER
from facesearch.duplicates.enrolled import EnrolledTwiceFinder
from facesearch.gallery import Gallery, live_index
from facesearch.gallery.migration import migrate_gallery
from facesearch.model import Model
from facesearch.storage.seals import seal
from facesearch.vectors import unit
from facesearch_indexes.faiss_index import FaissIndex
from facesearch_indexes.files import save

SEARCH_DIM = 16
TWO_CODES = FakeModel(search_dim=SEARCH_DIM)


def enroll(gallery, *photos):
    enrolled = list(gallery.enroll(photos))
    assert [one.status for one in enrolled] == ["enrolled"] * len(photos)


def code(row, dim=SEARCH_DIM):
    """Return the search code of a template (..., 64), computed without the model."""
    first = np.asarray(row, np.float64)[..., :dim]
    return first / np.sqrt((first**2).sum(-1, keepdims=True))


@pytest.fixture
def gallery(make_gallery, shoot):
    """A gallery of 20 people, a picture each, searched by the first code."""
    gallery = make_gallery(model=TWO_CODES)
    enroll(gallery, *((f"P{p}", shoot((p, 1))) for p in range(1, 21)))
    return gallery


# A real model: red is the first code, green the second


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """A model of pictures of 4 x 4 squares: 16 numbers of red, then 16 of green."""
    picks = np.concatenate([np.eye(48)[:, :16], np.eye(48)[:, 16:32]], axis=1)
    calibration = {
        "evidence": {"offset": -6.0, "slope": 2.0, "bend": 0.3, "low": -0.5, "high": 8.0},
        "cohort": {
            **{"mean": [0.0] * 32, "score_mean": 0.0, "score_std": 0.18},
            **{"weight": 10.0, "probe_length": 1.0},
        },
    }
    folder = write_model(
        tmp_path_factory.mktemp("models") / "painted",
        "whole",
        graph=pooled(picks / 127, np.full(32, -1.0), kernel_px=8, stride_px=8),
        dim=32,
        search_dim=16,
        calibration=calibration,
    )
    return Model.load(folder)


def paint(file, first, second):
    """Save the picture whose template is the unit codes `first` and `second` (16,) side by side."""
    squares = np.stack([first, second, np.zeros(16)], axis=-1).reshape(4, 4, 3)
    pixels = np.rint(127 + 127 * squares).astype(np.uint8)
    Image.fromarray(pixels.repeat(SIDE_PX // 4, 0).repeat(SIDE_PX // 4, 1)).save(file)
    return file


def at(cosine, row, rng):
    """Return a unit row (16,) at this cosine to the unit `row` (16,)."""
    other = rng.normal(size=16)
    other -= (other @ row) * row
    return cosine * row + (1 - cosine**2) ** 0.5 * unit(other)


def test_the_search_ranks_one_person_first_and_the_head_names_the_other(painted, tmp_path):
    rng = np.random.default_rng(0)
    codes = {f"S{number}": unit(rng.normal(size=(2, 16))) for number in range(12)}
    asked = unit(rng.normal(size=(2, 16)))
    codes["Found"] = at(0.95, asked[0], rng), at(0.0, asked[1], rng)
    codes["Meant"] = at(0.85, asked[0], rng), at(0.95, asked[1], rng)
    probe = paint(tmp_path / "probe.png", *asked)
    with Gallery(tmp_path / "gallery.db", painted) as gallery:
        enroll(gallery, *((n, paint(tmp_path / f"{n}.png", *pair)) for n, pair in codes.items()))
        ((_, nearest),) = gallery.search(probe, k=2)
        assert [neighbor.person for neighbor in nearest] == ["Found", "Meant"]
        assert [neighbor.score for neighbor in nearest] == pytest.approx([0.95, 0.85], abs=0.01)
        (photo,) = gallery.identify([probe])
        (face,) = photo.faces
        assert face.person == "Meant"
        assert face.candidates[0].probability > 0.9
        # the head's score follows the cosine of whole templates, centered on the gallery
        people, whole = np.stack([np.concatenate(pair) for pair in codes.values()]), 2**-0.5
        center = whole * people.sum(0) / (len(people) + 10)
        a, b = (unit(whole * np.concatenate(pair) - center) for pair in (asked, codes["Meant"]))
        assert face.candidates[0].score == pytest.approx(a @ b, abs=0.05)
        assert gallery.upkeep.check() == []


# The index


def test_the_index_holds_search_codes_and_the_gallery_whole_templates(gallery):
    assert gallery.upkeep.info()["index_dim"] == SEARCH_DIM
    assert store_of(gallery).templates.all()[1].shape == (20, 64)
    with live_index_of(gallery).reading() as view:
        (found,) = view.candidates(embedding(3, 9)[None])
        assert {reference.shape for reference in found.values()} == {(64,)}


def test_search_scores_are_cosines_of_search_codes(gallery, shoot):
    ((_, nearest),) = gallery.search(shoot((3, 9)), k=20)
    asked = code(embedding(3, 9))
    cosines = {f"P{p}": float(code(embedding(p, 1)) @ asked) for p in range(1, 21)}
    assert [n.person for n in nearest] == sorted(cosines, key=lambda name: -cosines[name])
    assert [n.score for n in nearest] == pytest.approx(sorted(cosines.values())[::-1], abs=1e-3)


def test_an_open_gallery_sees_people_enrolled_and_forgotten_by_another(
    gallery, make_gallery, shoot
):
    def who(photo):
        (seen,) = gallery.identify([photo])
        return [face.person for face in seen.faces]

    assert who(shoot((3, 9), (21, 9))) == ["P3", None]
    with make_gallery(model=TWO_CODES) as other:
        enroll(other, ("P21", shoot((21, 1))))
        other.forget("P3")
    assert who(shoot((3, 9), (21, 9))) == [None, "P21"]
    assert gallery.upkeep.check() == []
    assert gallery.upkeep.rebuild() == 20
    assert who(shoot((3, 9), (21, 9))) == [None, "P21"]


def test_check_accepts_templates_that_share_a_search_code(gallery, make_gallery):
    first = embedding(1, 1)
    twin = unit(np.concatenate([first[:SEARCH_DIM], -first[SEARCH_DIM:]]))
    blob = twin.astype("<f2").tobytes()
    execute(gallery, "UPDATE template SET vector = ? WHERE id = 2", (blob,))
    seal(store_of(gallery).db, "template", 2)
    assert make_gallery(model=TWO_CODES).upkeep.check() == []


def test_check_reports_an_index_that_holds_another_persons_search_code(gallery):
    with live_index_of(gallery).reading() as view:
        view.index.upsert(np.array([1]), code(embedding(40, 1))[None].astype(np.float32))
    assert gallery.upkeep.check() == ["1 of 20 templates are not found by the index"]


@pytest.mark.slow
def test_the_head_is_given_people_whom_the_search_ranks_far_behind(make_gallery, shoot):
    gallery = make_gallery(model=FakeModel(search_dim=3))  # finds people poorly
    enroll(gallery, *((f"{person:03}", shoot((person, 1))) for person in range(120)))
    templates = np.stack([embedding(person, 1) for person in range(120)])
    ranks = []
    for person in range(120):
        cosines = code(templates, 3) @ code(embedding(person, 9), 3)
        ranks.append(int((cosines > cosines[person]).sum()))
    between = [p for p, rank in enumerate(ranks) if CANDIDATES <= rank < CANDIDATES_OTHER_ORDER]
    assert between
    photos = gallery.identify([shoot((person, 9)) for person in between])
    assert [photo.faces[0].candidates[0].person for photo in photos] == [f"{p:03}" for p in between]


def test_the_head_is_given_the_people_most_alike_by_whole_templates(make_gallery, shoot):
    gallery = make_gallery(model=FakeModel(search_dim=3))
    enroll(gallery, *((f"{person:03}", shoot((person, 1))) for person in range(40)))
    probe = embedding(7, 9).astype(np.float64)
    with live_index_of(gallery).reading() as view:
        (given,) = view.candidates(probe[None].astype(np.float32))
        center = view.strangers.center.astype(np.float64)
        names = gallery.people.names_of(given)
    cosines = {}
    for person in range(40):
        reference = embedding(person, 1) - center
        asked = probe - center
        cosines[f"{person:03}"] = reference @ asked / np.linalg.norm(reference)
    nearest = sorted(cosines, key=lambda name: -cosines[name])[:CANDIDATES]
    assert sorted(names.values()) == sorted(nearest)


# The index file


@pytest.fixture
def filed(gallery, monkeypatch):
    """The path of `gallery`, which is closed and has an index file."""
    monkeypatch.setattr(live_index, "INDEX_FILE_FROM", 5)
    assert gallery.upkeep.rebuild() == 20
    gallery.close()
    return gallery.path


def index_files(path):
    return sorted(path.with_name(path.name + "-index").glob("*.index"))


def assert_right(gallery, shoot):
    """Assert that all people are at rank 1, a stranger gets no name, and `check` finds nothing."""
    (*found, stranger) = gallery.identify([*(shoot((p, 9)) for p in range(1, 21)), shoot((99, 9))])
    names = [photo.faces[0].candidates[0].person for photo in found]
    assert names == [f"P{p}" for p in range(1, 21)]
    assert stranger.faces[0].person is None
    assert gallery.upkeep.check() == []


def test_an_index_file_of_search_codes_is_used(filed, make_gallery, shoot, monkeypatch):
    (file,) = index_files(filed)
    gallery = make_gallery(model=TWO_CODES)
    with monkeypatch.context() as patch, store_of(gallery).snapshot():
        patch.setattr("facesearch.storage.templates.Templates.all", None)  # a rebuild reads all
        view = live_index_of(gallery)._load()
        assert (len(view.index), view.index.dim) == (20, SEARCH_DIM)
    assert_right(gallery, shoot)
    assert index_files(filed) == [file]


@pytest.mark.parametrize("dim", [SEARCH_DIM // 2, 64], ids=["a shorter code", "whole templates"])
def test_an_index_file_with_rows_of_another_length_is_not_used(
    filed, make_gallery, shoot, dim, caplog
):
    (file,) = index_files(filed)
    generation, seq, _ = file.name.split("-")
    file.unlink()
    gallery = make_gallery(model=TWO_CODES)
    ids, rows = store_of(gallery).templates.all()
    foreign = save(FaissIndex.build(ids, rows[:, :dim]), file.parent, generation, int(seq))
    assert_right(gallery, shoot)
    assert "another format, generation, seq or dimension" in caplog.text
    assert index_files(filed) == [file]
    assert foreign != file


def test_a_damaged_index_file_is_rebuilt(filed, make_gallery, shoot):
    (file,) = index_files(filed)
    content = file.read_bytes()
    file.write_bytes(content[:-200] + bytes(200))
    assert_right(make_gallery(model=TWO_CODES), shoot)
    assert [f.read_bytes() for f in index_files(filed)] == [content]


REBUILD_AND_DIE = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from fake_model import FakeModel
import facesearch.gallery
facesearch.gallery.live_index.INDEX_FILE_FROM = 5
replace = Path.replace
def dies(*paths):
    if {after}:
        replace(*paths)
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = dies
facesearch.gallery.Gallery(Path({path!r}), FakeModel(search_dim={search_dim})).upkeep.rebuild()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot be killed like that")
@pytest.mark.parametrize("after", [False, True], ids=["before it is there", "once it is there"])
def test_everyone_is_found_after_being_killed_while_saving_the_index_file(
    filed, make_gallery, shoot, after
):
    tests = str(Path(fake_model.__file__).parent)
    code = REBUILD_AND_DIE.format(tests=tests, after=after, path=str(filed), search_dim=SEARCH_DIM)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(index_files(filed)) == after
    assert_right(make_gallery(model=TWO_CODES), shoot)
    assert len(index_files(filed)) == 1


def test_a_gallery_migrates_to_a_model_of_two_codes_and_back(make_gallery, shoot):
    one = make_gallery()
    enroll(one, *((f"P{p}", shoot((p, 1))) for p in range(1, 21)))
    two = FakeModel(name="two", fingerprint="2c0de00000000000", search_dim=SEARCH_DIM)
    migrate_gallery(one.path, two)
    assert_right(make_gallery(model=two, create=False), shoot)
    migrate_gallery(one.path, FakeModel())
    assert make_gallery(create=False).upkeep.info()["index_dim"] == 64


# Duplicates and groups


def test_copies_of_a_picture_are_found_by_their_search_codes(gallery, shoot):
    enroll(gallery, ("Copy", shoot((7, 1), salt=1)))
    template = store_of(gallery).templates.all()[1][6]
    lit = unit(template + np.r_[np.zeros(SEARCH_DIM), np.full(48, 0.15)])  # same search code
    assert template @ lit < 0.8
    blob = lit.astype("<f2").tobytes()
    execute(gallery, "UPDATE template SET vector = ? WHERE id = 21", (blob,))
    seal(store_of(gallery).db, "template", 21)
    gallery.upkeep.rebuild()
    (same,) = gallery.duplicates.same_faces()
    assert [face.person for face in same.faces] == ["P7", "Copy"]
    assert same.cosine == pytest.approx(1, abs=1e-3)


def test_copies_of_a_photo_do_not_teach_how_alike_two_photos_are(make_gallery, shoot):
    """A photo and its copy are no evidence of how alike two photos of a person are."""
    gallery = make_gallery(model=TWO_CODES)
    enroll(gallery, *((f"P{p}", shoot((p, 1))) for p in range(1, 21)))
    with live_index_of(gallery).reading() as view:
        judge = EnrolledTwiceFinder(store_of(gallery), TWO_CODES, view.index).judge()
        assert judge.mates == judge.model_mates  # nobody has two photos
    enroll(gallery, *((f"P{p}", shoot((p, 1), salt=1)) for p in range(1, 21)))
    odd = np.r_[np.zeros(SEARCH_DIM), np.full(48, 0.15)]
    for number, row in zip(*store_of(gallery).templates.with_ids(range(21, 41)), strict=True):
        blob = unit(row + odd).astype("<f2").tobytes()
        execute(gallery, "UPDATE template SET vector = ? WHERE id = ?", (blob, int(number)))
        seal(store_of(gallery).db, "template", int(number))
    with live_index_of(gallery).reading() as view:
        judge = EnrolledTwiceFinder(store_of(gallery), TWO_CODES, view.index).judge()
        assert judge.mates == judge.model_mates


def test_one_person_under_two_names_is_proposed_with_and_without_the_index(gallery, shoot):
    enroll(gallery, ("Again", shoot((7, 2))))
    found = gallery.duplicates.same_people()
    assert [pair.people for pair in found.pairs] == [("P7", "Again")]
    with live_index_of(gallery).reading() as view:
        assert view.index.dim == SEARCH_DIM
        with_it = EnrolledTwiceFinder(store_of(gallery), TWO_CODES, view.index)
        without = EnrolledTwiceFinder(store_of(gallery), TWO_CODES, None)
        assert with_it.same_people(0.5) == without.same_people(0.5) == found
        assert with_it.same_faces() == without.same_faces() == ()
    (alike,) = gallery.duplicates.look_alikes("P7")[:1]
    assert (alike.person, alike.probability > 0.5) == ("Again", True)


def test_unnamed_faces_are_grouped_by_whole_templates(gallery, shoot):
    photos = [shoot((person, k)) for person in (50, 51) for k in (1, 2, 3)]
    groups = gallery.review.cluster(photos).groups
    assert sorted({Path(f.photo).name[:2] for f in group.faces} for group in groups) == [
        {"50"},
        {"51"},
    ]
