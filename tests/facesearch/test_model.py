import json
import shutil

import numpy as np
import pytest

from facesearch import EmbeddingMismatch, Model, ModelError, shipped_models
from facesearch.model import SHIPPED, fingerprint, read_manifest


@pytest.fixture
def copied(tmp_path):
    """A model folder of one's own."""
    return shutil.copytree(SHIPPED / "sface", tmp_path / "mine")


@pytest.fixture(scope="module")
def model():
    return Model.load("default")


def test_the_default_model_is_one_of_those_that_ship(model):
    assert model.name in shipped_models()
    assert model.manifest["licence"]["weights"].startswith("Apache-2.0")


def test_templates_are_of_unit_length_and_alike_for_like_crops(model, portraits):
    from facesearch.identification import look
    from facesearch.photo import read_photo

    templates = [look(read_photo(path), model).embeddings[0] for path in portraits]
    mirrored = [look(read_photo(p), model, mirrored=True).embeddings[0] for p in portraits]
    a, b = np.stack(templates), np.stack(mirrored)
    assert np.linalg.norm(np.concatenate([a, b]), axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert (a * b).sum(1).min() > 0.97
    assert model.compare(a[0], b)[0] > 5  # one woman
    assert model.compare(a[0], b)[1] < -3  # two women
    assert model.compare(a[0], b[1:])[0] == pytest.approx(model.compare(b[1], a[:1])[0], abs=1e-4)


def test_no_crops_make_no_templates(model):
    assert model.embed(np.zeros((0, 112, 112, 3), np.uint8)).shape == (0, model.dim)


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((112, 112, 3), np.uint8),
        np.zeros((1, 100, 100, 3), np.uint8),
        np.zeros((1, 112, 112, 3), np.float32),
    ],
    ids=["one crop, not a batch", "another size", "not bytes"],
)
def test_crops_of_another_kind_are_refused(model, crops):
    with pytest.raises(EmbeddingMismatch, match="takes crops of"):
        model.embed(crops)


def test_a_model_folder_works_wherever_it_lies_and_has_the_same_templates(copied, model):
    assert Model.load(copied).fingerprint == model.fingerprint


@pytest.mark.parametrize("file", ["branch.onnx", "head.npz"])
def test_a_broken_download_is_never_run_deepface_1316(copied, file):
    data = bytearray((copied / file).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / file).write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        Model.load(copied)
    (copied / file).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        Model.load(copied)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"manifest_version": 99}', '{"manifest_version": 1}', "\x00"],
    ids=["empty", "a list", "an empty object", "a newer one", "without files", "not text"],
)
def test_a_manifest_that_is_none_is_refused_in_a_sentence(copied, text):
    (copied / "model.json").write_text(text)
    with pytest.raises(ModelError):
        Model.load(copied)


def test_a_name_that_is_no_model_is_told_which_there_are():
    with pytest.raises(ModelError, match="sface"):
        Model.load("arcface")
    with pytest.raises(ModelError, match="opencv, openvino"):
        Model.load("default", engine="tpu")


def test_the_fingerprint_changes_with_what_decides_an_embedding_and_with_nothing_else():
    manifest = read_manifest(SHIPPED / "sface")
    for key, value in (("dim", 64), ("alignment", []), ("input", {"side_px": 64})):
        assert fingerprint(manifest | {key: value}) != fingerprint(manifest)
    other_head = json.loads(json.dumps(manifest))
    other_head["sha256"]["head.npz"] = "0" * 64
    other_head["calibration"] = {}
    assert fingerprint(other_head) == fingerprint(manifest)
    other_head["sha256"]["branch.onnx"] = "0" * 64
    assert fingerprint(other_head) != fingerprint(manifest)
