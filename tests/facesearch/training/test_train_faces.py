from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from fake_model import FakeModel, save_photo

pytest.importorskip("torch", reason="training needs the extra train")

import torch
from made_up_faces import crops_of_people, untrained_graph

from facesearch.errors import DataError, TrainingError
from facesearch.evaluation.protocols import random_open_set_splits
from facesearch.figures import read_figures
from facesearch.head import L1SigmoidHead, rotation_code
from facesearch.identification import REFERENCE_VIEWS, look_again
from facesearch.manifest import read_manifest
from facesearch.model import Model
from facesearch.openset import Cohort, Evidence
from facesearch.training import face_recipe, train_faces
from facesearch.training.calibration import Calibration
from facesearch.training.data import TrainingSet
from facesearch.training.export import About, crops_of
from facesearch.training.face_network import start_branch
from facesearch.training.face_recipe import Face
from facesearch.training.faces import Faces
from facesearch.training.loop import TrainingResult
from facesearch.training.network import L1Head, SiameseNetwork
from facesearch.training.searches import Rates, Searches, open_set_rates
from facesearch.training.train_faces import CalibratedHead, Embeddings, train_on_faces
from facesearch.vectors import unit

COHORT = Cohort(np.zeros(256, np.float32), 0.0, 0.1, 10.0, 0.99)
BAD, GOOD = {"people": Rates(0.9, 0.5)}, {"people": Rates(0.8, 0.6)}


FACES = Faces(crops_of_people(4, 2), crops_of_people(4, 2, seed=1), ("people",))


pytestmark = pytest.mark.usefixtures("fewer_pairs")


@pytest.fixture(scope="module")
def start(tmp_path_factory, fewer_pairs):
    """A made-up model of two codes: SFace, and an untrained second trunk."""
    folder = tmp_path_factory.mktemp("models") / "start"
    folder.mkdir()
    (folder / "branch.onnx").write_bytes(untrained_graph())
    head = L1SigmoidHead(rotation_code(256, 1, 0), np.full(256, 3.0, np.float32), 9.0, 30.0)
    templates = unit(np.random.default_rng(0).normal(size=(6, 256)))
    calibration = Calibration(Evidence(-5.0, 2.0, 0.3, -1.0, 8.0), COHORT, "7 made-up people")
    held_out = Searches(np.arange(6) // 2, templates, templates)
    about = About("start", "CC0-1.0 weights", "made up", {})
    train_faces.write_rest(folder, about, CalibratedHead(head, calibration, held_out))
    return folder


@pytest.fixture
def run(monkeypatch, start, tmp_path):
    """Adapt the start to FACES; `before` and `after` are the measured rates."""

    def run(before, after, **options):
        monkeypatch.setattr(train_faces, "read_faces", lambda *_: FACES)
        rates = iter([before, after])
        monkeypatch.setattr(train_faces, "rates_by_set", lambda *_: next(rates))
        for module in (train_faces, face_recipe):  # OpenVINO needs seconds to start
            monkeypatch.setattr(module, "engine_for_many", lambda: "opencv")
        recipe = Face(start=str(start), rate=1e-2)
        return train_on_faces(tmp_path / "photos", recipe, tmp_path / "out" / "mine", **options)

    return run


@pytest.fixture
def untrained(monkeypatch):
    """Replaces training: the network stays as at the start, and embeddings are made up."""

    def train(data, validation, recipe, folder, **_):
        folder.mkdir(parents=True)
        branch = start_branch(Path(recipe.start))
        network = SiameseNetwork(branch, L1Head(branch.dim, 4 * branch.dim)).eval()
        return TrainingResult(network, 0.5, recipe.steps, recipe.steps, "done", 1.0, 1.0, 0.0)

    def embed_all(folder, data):
        random = np.random.default_rng(0)
        return Embeddings(*unit(random.normal(size=(2, len(data.classes), 256))))

    monkeypatch.setattr(train_faces, "train", train)
    monkeypatch.setattr(train_faces, "embed_all", embed_all)
    monkeypatch.setattr(train_faces, "draw_curves", lambda log, picture, _: picture)


def test_a_better_model_is_written_and_keeps_the_calibration_of_its_start(run, start, tmp_path):
    done = run(BAD, GOOD, adapt=True, steps=2)
    assert done.written
    assert (done.trained.step, done.before, done.after) == (2, BAD, GOOD)
    folder, begun = tmp_path / "out" / "mine", Model.load(start)
    model = Model.load(folder)
    crops = crops_of(FACES.training.pictures[:3])
    templates = model.embed(crops)
    first = Model.load("sface").embed(crops)
    np.testing.assert_allclose(unit(templates[:, :128]), first, atol=1e-4)
    assert np.abs(unit(templates[:, 128:]) - unit(begun.embed(crops)[:, 128:])).max() > 1e-3
    for mine, kept in zip(astuple(model.head), astuple(begun.head), strict=True):
        np.testing.assert_array_equal(mine, kept)
    assert astuple(model.evidence) == astuple(begun.evidence)
    assert model.search_dim == 128
    manifest = read_manifest(folder)
    assert "4 people who were not trained on are too few" in manifest["calibration"]["note"]
    assert manifest["calibration"]["made_from"] == "7 made-up people"
    assert manifest["licence"] == {
        "weights": "CC0-1.0 weights",
        "data": "made up; adapted on photos of their owner",
    }
    assert manifest["training"]["start"] == {"name": "start", "fingerprint": begun.fingerprint}
    said = manifest["training"]
    assert (said["people"], said["training_people"], said["training_faces"]) == (64, 4, 8)
    assert manifest["figures"]["people_tpir_at_fpir_1pct"] == 0.6
    assert manifest["figures"]["before_people_tpir_at_fpir_1pct"] == 0.5
    figures = read_figures(folder, manifest)
    assert not figures.calibrated_on
    assert figures.pairs.mated.sum() == 4
    assert done.curves.read_bytes()[:4] == b"\x89PNG"


def test_a_model_that_is_not_better_is_not_written(run, untrained, tmp_path):
    done = run(BAD, {"people": Rates(1.0, 0.4)}, adapt=True, steps=2)
    assert not done.written
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine-training"]


def test_nothing_is_trained_if_the_start_identifies_everybody(run, untrained, tmp_path):
    perfect = {"people": Rates(1.0, 1.0)}
    with pytest.raises(DataError, match="already identifies all 4 people"):
        run(perfect, perfect, adapt=True, steps=2)
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_an_adaptation_is_written_however_good_it_is(run, untrained, tmp_path):
    done = run(BAD, None, steps=2)
    assert (done.written, done.before, done.after) == (True, None, BAD)
    assert "MobileFaceNet" in read_manifest(tmp_path / "out" / "mine")["licence"]["weights"]


def test_models_are_compared_by_the_mean_tpir_of_the_sets():
    result = TrainingResult(None, 0.0, 1, 1, "done", 1.0, 1.0, 0.0)
    before = {"val": Rates(0.9, 0.5), "fiw": Rates(0.9, 0.7)}
    after = {"val": Rates(0.1, 0.8), "fiw": Rates(0.1, 0.41)}
    assert train_faces.FaceTraining(result, FACES, after, before, None).written
    assert not train_faces.FaceTraining(result, FACES, before, after, None).written
    assert not train_faces.FaceTraining(result, FACES, before, before, None).written  # as good
    assert not train_faces.FaceTraining(result, FACES, None, before, None).written  # interrupted


def test_open_set_rates_agree_with_searches_done_one_by_one():
    random = np.random.default_rng(5)
    people = np.repeat(np.arange(30), 4)
    own = random.normal(size=(30, 8)).repeat(4, 0)
    once, references = (unit(own + random.normal(0, 0.6, (120, 8))) for _ in range(2))
    cohort = replace(COHORT, mean=np.full(8, 0.1, np.float32))
    rates = open_set_rates(Searches(people + 50, once, references), cohort)
    on_top, found = [], []
    for split in random_open_set_splits(people, 10):
        gallery = [references[row] for row in split.gallery]
        center = (np.sum(gallery, axis=0) + 10.0 * cohort.mean) / (len(gallery) + 10.0)

        def cosines(row, gallery=gallery, center=center):
            probe = once[row] - center
            away = [one - center for one in gallery]
            return [probe @ one / np.linalg.norm(probe) / np.linalg.norm(one) for one in away]

        tops = sorted((max(cosines(row)) for row in split.probes["non_mated"]), reverse=True)
        limit = tops[int(0.01 * len(tops))]
        each = [
            (np.argmax(scores) == owner, max(scores) > limit)
            for row, owner in zip(split.probes["mated"], split.owners, strict=True)
            for scores in [cosines(row)]
        ]
        on_top.append(np.mean([right for right, _ in each]))
        found.append(np.mean([right and above for right, above in each]))
    assert rates.rank_1 == pytest.approx(np.mean(on_top))
    assert rates.tpir == pytest.approx(np.mean(found))
    assert 0.1 < rates.tpir < rates.rank_1 < 1


def test_crops_are_embedded_as_probes_and_as_references(start):
    few = crops_of_people(2, 2)
    embeddings = train_faces.embed_all(start, few)
    crops = crops_of(few.pictures)
    model = Model.load(start, "opencv")
    once = model.embed(crops)
    references = look_again(model, crops, once, REFERENCE_VIEWS)
    assert (embeddings.probes * once).sum(1).min() > 0.999  # in bfloat16, where OpenVINO has it
    assert (embeddings.references * references).sum(1).min() > 0.999
    assert (once * references).sum(1).max() < 0.995


def test_each_set_is_searched_separately():
    faces = replace(
        FACES,
        validation=replace(FACES.validation, groups=np.array([1, 0, 1, 0])),
        sets=("val", "fiw"),
    )
    people = faces.validation.classes
    once, references = unit(np.random.default_rng(0).normal(size=(2, 8, 256)))
    rates = train_faces.rates_by_set(faces, Embeddings(once, references), COHORT)
    rows = np.flatnonzero((people == 0) | (people == 2))
    assert list(rates) == ["val", "fiw"]
    assert rates["fiw"] == open_set_rates(
        Searches(people[rows], once[rows], references[rows]), COHORT
    )


def test_a_new_calibration_is_measured_on_people_it_was_not_fitted_to(monkeypatch):
    monkeypatch.setattr(train_faces, "ROTATIONS", 4)
    random = np.random.default_rng(3)
    n, n_relatives = 120, 30  # the last people are relatives, in another set
    own = random.normal(size=(n, 64)).repeat(3, 0)
    once, references = (unit(own + random.normal(0, 0.8, (3 * n, 64))) for _ in range(2))
    people = np.repeat(np.arange(n), 3)
    sets = (np.arange(n) >= n - n_relatives).astype(np.int64)
    validation = TrainingSet(torch.zeros(0), people, sets, drawn=False)
    faces = Faces(FACES.training, validation, ("val", "fiw"), relatives=("fiw",))
    tuned = train_faces.calibrated_head(faces, Embeddings(once, references), None)
    assert sorted(tuned.held_out.rows) == list(range(1, n - n_relatives, 2))
    measured = (people % 2 == 1) & (people < n - n_relatives)
    np.testing.assert_array_equal(tuned.held_out.probes, once[measured])
    np.testing.assert_array_equal(tuned.held_out.references, references[measured])
    assert tuned.calibration.note is None
    n_fitted = (n - n_relatives) // 2
    assert tuned.calibration.made_from == f"{n_fitted} people, {3 * n_fitted} faces"
    fitted = (people % 2 == 0) & (people < n - n_relatives)
    length = np.mean([once[row] @ references[row] for row in np.flatnonzero(fitted)])
    assert tuned.calibration.cohort.probe_length == pytest.approx(length, abs=1e-6)
    assert tuned.head.projection.shape == (64, 256)
    assert tuned.head.follows_cosine
    one, mate, other = (tuned.held_out.references[row] for row in (0, 1, 3))
    assert tuned.head.llr(one, mate[None])[0] > 0 > tuned.head.llr(one, other[None])[0]


@pytest.mark.parametrize(
    ("photos", "steps"),
    [([3] * 10, 50), ([2] * 200 + [1], 93), ([20] * 500, 600)],
    ids=["few photos", "401 photos", "many photos"],
)
def test_an_adaptation_sees_each_photo_thirty_times_within_bounds(photos, steps):
    recipe = train_faces.adaptation(Face(people=64, photos=2), np.array(photos))
    assert recipe.steps == steps
    assert recipe.evaluate_every == steps // 10


def people_with_photos(folder, n):
    for person in range(1, n + 1):
        for picture in range(2):
            save_photo(folder / f"P{person}" / f"{picture}.png", (person, picture))
    save_photo(folder / "with one" / "0.png", (99, 0))
    return folder


def test_people_who_were_trained_on_do_not_validate_the_model(tmp_path):
    source = people_with_photos(tmp_path, 9)
    faces = train_faces.read_faces(source, FakeModel(), 0, None)
    trained_on, validated_with = (
        set(data.pictures[:, 0, 56, 56].tolist()) for data in (faces.training, faces.validation)
    )
    assert trained_on | validated_with == {*range(1, 10), 99}
    assert not trained_on & validated_with
    assert (len(validated_with), 99 in trained_on) == (4, True)
    assert faces.sets == ("people",)
    assert not faces.training.drawn
    with pytest.raises(DataError, match=r"has 7 people with two usable photos or more; it takes 8"):
        train_faces.read_faces(people_with_photos(tmp_path / "fewer", 7), FakeModel(), 0, None)


def test_few_people_keep_the_starts_calibration_only_if_it_has_two_codes():
    few, many = FACES, replace(FACES, validation=crops_of_people(200, 0))
    assert train_faces.keeps_calibration(few, FakeModel(dim=256))
    assert not train_faces.keeps_calibration(many, FakeModel(dim=256))
    assert not train_faces.keeps_calibration(many, FakeModel())
    with pytest.raises(DataError, match="takes 200; --from default keeps"):
        train_faces.keeps_calibration(few, FakeModel())


def test_training_on_faces_starts_only_from_a_face_model():
    with pytest.raises(TrainingError, match="omniglot compares drawings"):
        train_faces.face_model("omniglot")
