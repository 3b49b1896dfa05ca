import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from deciding import confirm
from PIL import Image

from facesearch import (
    EmbeddingMismatch,
    Gallery,
    Model,
    ModelError,
    ink,
    shipped_models,
)
from facesearch.alignment import realigned
from facesearch.embedding import embed_by_views
from facesearch.gallery import verify
from facesearch.head import L1SigmoidHead
from facesearch.identification import look, look_again
from facesearch.manifest import fingerprint_of, read_manifest, shipped_model
from facesearch.photo import read_photo
from facesearch.shipped import SHIPPED


@pytest.fixture
def copied(tmp_path):
    """A copy of a model's folder, to be changed."""
    return shutil.copytree(SHIPPED / "sface", tmp_path / "mine")


@pytest.fixture(scope="module")
def model():
    return Model.load("default")


def test_the_default_model_is_one_of_those_that_ship(model):
    assert model.name in shipped_models()
    assert "Apache-2.0" in model.manifest["licence"]["weights"]


def test_templates_are_of_unit_length_and_alike_for_like_crops(model, portraits):
    templates = [look(read_photo(path), model).embeddings[0] for path in portraits]
    references = [look(read_photo(p), model, as_reference=True).embeddings[0] for p in portraits]
    a, b = np.stack(templates), np.stack(references)
    assert np.linalg.norm(np.concatenate([a, b]), axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert (a * b).sum(1).min() > 0.97
    assert model.compare(a[0], b)[0] > 5  # one woman
    assert model.compare(a[0], b)[1] < -2  # two women
    assert model.compare(a[0], b[1:])[0] == pytest.approx(model.compare(b[1], a[:1])[0], abs=1e-4)


def test_verifying_two_photos_takes_a_closer_look_at_both_faces(model, portraits):
    seen = [look(read_photo(path), model) for path in portraits]
    probe, reference = (look_again(model, one.crops[:1], one.embeddings[:1])[0] for one in seen)
    llr = verify(model, *portraits).llr
    assert llr == pytest.approx(model.compare(probe, reference[None])[0], abs=1e-4)
    assert abs(llr - model.compare(seen[0].embeddings[0], seen[1].embeddings[:1])[0]) > 0.01


def test_a_closer_look_averages_the_crop_the_crop_cut_again_and_mirror_images(model, portraits):
    crops = look(read_photo(portraits.grace), model).crops
    again = realigned(crops, model.detector)
    assert np.abs(again.astype(int) - crops).mean() > 1
    views = [crops, again[:, :, ::-1], crops[:, :, ::-1], again]
    rows = np.concatenate([model.embed(view) for view in views])
    once, *several = embed_by_views(model.embed, model.detector, [crops], 2, 4)
    np.testing.assert_allclose(once, rows[:1], atol=1e-3)
    for n, of_many in zip((2, 4), several, strict=True):
        (found,) = look_again(model, crops, rows[:1], n)
        np.testing.assert_allclose(of_many, found[None], atol=1e-3)
        expected = rows[:n].sum(0) / np.linalg.norm(rows[:n].sum(0))
        np.testing.assert_allclose(found, expected, atol=1e-3)
        assert found @ rows[0] < 0.995


def test_a_reference_is_of_two_views_whether_enrolled_confirmed_or_named_with_a_group(
    model, portraits, tmp_path
):
    expected = []
    for path in portraits:
        seen = look(read_photo(path), model)
        expected.append(look_again(model, seen.crops, seen.embeddings, 2)[0])
    with Gallery(tmp_path, model) as gallery:
        list(gallery.enroll([("Eileen", portraits.eileen)]))
        confirm(gallery, portraits.grace, "Grace", new=True)
        found = gallery.faces.sample(10).rows  # in the order in which they were enrolled
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-3)
    twice = [tmp_path / "a.png", tmp_path / "b.jpg"]
    Image.open(portraits.grace).convert("RGB").save(twice[0])
    Image.open(portraits.grace).convert("RGB").save(twice[1], quality=90)
    with Gallery(tmp_path / "groups", model) as gallery:
        (group,) = gallery.review.cluster(twice).groups
        gallery.review.name_group(group, "Grace")
        found = gallery.faces.sample(10).rows
    assert len(found) == 2
    np.testing.assert_allclose(
        found[0], expected[list(portraits).index(portraits.grace)], atol=0.02
    )


def test_a_pair_is_compared_without_what_all_people_share(model):
    rng = np.random.default_rng(0)
    probe, *references = (rng.normal(0, 0.05, (4, model.dim)) + model.cohort.mean).astype("f4")
    lengths = [np.linalg.norm(x - model.cohort.mean) for x in (probe, *references)]
    a, *b = (
        (x - model.cohort.mean) / n for x, n in zip((probe, *references), lengths, strict=True)
    )
    found = model.compare(probe, np.array(references))
    np.testing.assert_allclose(found, model.head.llr(a, np.array(b)), atol=1e-3)
    assert np.abs(found - model.head.llr(probe, np.array(references))).min() > 1


def test_no_crops_give_no_embeddings(model):
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
def test_crops_of_another_size_or_type_are_refused(model, crops):
    with pytest.raises(EmbeddingMismatch, match="takes crops of"):
        model.embed(crops)


def test_a_model_folder_works_anywhere_with_the_same_fingerprint(copied):
    assert Model.load(copied).fingerprint == Model.load("sface").fingerprint


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
def test_a_file_that_is_not_a_manifest_is_refused_in_a_sentence(copied, text):
    (copied / "model.json").write_text(text)
    with pytest.raises(ModelError):
        Model.load(copied)


def test_brackets_in_brackets_are_not_a_manifest(copied):
    (copied / "model.json").write_text("[" * 100_000)
    with pytest.raises(ModelError, match="brackets"):
        Model.load(copied)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
@pytest.mark.parametrize("file", ["model.json", "head.npz"])
def test_a_pipe_in_place_of_a_file_of_a_model_is_not_waited_for(copied, file):
    (copied / file).unlink()
    os.mkfifo(copied / file)
    with pytest.raises(ModelError, match=r"not a regular file|neither a name"):
        Model.load(copied)


@pytest.mark.parametrize("name", ["/dev/zero", "../model.json"])
def test_a_manifest_names_files_of_its_own_folder_only(copied, name):
    manifest = json.loads((copied / "model.json").read_text())
    manifest["sha256"][name] = "0" * 64
    (copied / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="not a file of its own folder"):
        Model.load(copied)


@pytest.mark.parametrize("key", ["name", "kind", "detector", "alignment", "dim", "input", "sha256"])
def test_a_manifest_without_a_required_key_is_refused_with_its_name(copied, key):
    manifest = read_manifest(copied)
    del manifest[key]
    (copied / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=rf"model\.json does not say: {key}$"):
        Model.load(copied)


@pytest.mark.parametrize("hashes", [{}, {"branch.onnx": ""}, {"head.npz": ""}, [], None])
def test_a_file_whose_hash_the_manifest_lacks_is_not_loaded(copied, hashes):
    manifest = read_manifest(copied)
    (copied / "model.json").write_text(json.dumps(manifest | {"sha256": hashes}))
    with pytest.raises(ModelError, match=r"does not say: sha256 of (branch\.onnx|head\.npz)"):
        Model.load(copied)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 no zip", b"no numbers"], ids=["empty", "half a zip", "text"]
)
def test_a_head_that_is_not_an_npz_file_is_a_damaged_model(copied, content):
    (copied / "head.npz").write_bytes(content)
    update_head_hash(copied)
    with pytest.raises(ModelError, match="is damaged"):
        Model.load(copied)


def update_head_hash(folder):
    manifest = read_manifest(folder)
    found = hashlib.sha256((folder / "head.npz").read_bytes()).hexdigest()
    manifest["sha256"]["head.npz"] = found
    (folder / "model.json").write_text(json.dumps(manifest))


SOUND = {"projection": None, "weights": np.ones(128, "f4"), "bias": 1.0, "unit_distance": 1.0}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"projection": np.ones((128, 3), "f4"), "weights": np.ones(3, "f4")}, None),
        ({"weights": np.ones(3, "f4")}, "for embeddings of 128 numbers"),
        ({"projection": np.ones((128, 3), "f4")}, "for embeddings of 128 numbers"),
        ({"projection": np.ones((64, 128), "f4")}, "for embeddings of 128 numbers"),
        ({"weights": np.full(128, np.nan, "f4")}, "not finite"),
        ({"projection": np.full((128, 128), np.inf, "f4")}, "not finite"),
        ({"bias": np.nan}, "not finite"),
        ({"unit_distance": 0.0}, "not above 0"),
        ({"exponent": -1.0, "follows_cosine": False}, "not above 0"),
    ],
)
def test_a_head_that_cannot_compare_the_models_embeddings_is_refused(copied, changes, reason):
    L1SigmoidHead(**SOUND | changes).save(copied / "head.npz")
    update_head_hash(copied)
    if reason is None:
        assert Model.load(copied).dim == 128
    else:
        with pytest.raises(ModelError, match=reason):
            Model.load(copied)


@pytest.mark.parametrize(
    ("part", "key", "value", "reason"),
    [
        ("cohort", "mean", [0.0] * 64, "for embeddings of 128 numbers"),
        ("cohort", "mean", [np.nan] * 128, "not finite"),
        ("cohort", "score_mean", np.nan, "not finite"),
        ("cohort", "score_std", 0.0, "not above 0"),
        ("evidence", "slope", np.inf, "not finite"),
        ("evidence", "slope", "steep", "is damaged"),
    ],
)
def test_a_calibration_of_wrong_numbers_is_refused(copied, part, key, value, reason):
    manifest = read_manifest(copied)
    manifest["calibration"][part][key] = value
    (copied / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=reason):
        Model.load(copied)


def test_an_unknown_model_or_engine_is_refused_with_the_known_ones():
    with pytest.raises(ModelError, match="sface"):
        Model.load("arcface")
    with pytest.raises(ModelError, match="opencv, openvino"):
        Model.load("default", engine="tpu")


def test_the_fingerprint_changes_with_whatever_decides_a_template_and_nothing_else():
    manifest = read_manifest(SHIPPED / "sface")
    for key, value in (("dim", 64), ("alignment", []), ("input", {"side_px": 64})):
        assert fingerprint_of(manifest | {key: value}) != fingerprint_of(manifest)
    other_head = json.loads(json.dumps(manifest))
    other_head["sha256"]["head.npz"] = "0" * 64
    other_head["calibration"] = {}
    assert fingerprint_of(other_head) == fingerprint_of(manifest)
    other_head["sha256"]["branch.onnx"] = "0" * 64
    assert fingerprint_of(other_head) != fingerprint_of(manifest)
    searched = [fingerprint_of(manifest | {"search_dim": dim}) for dim in (64, 128)]
    assert len({fingerprint_of(manifest), *searched}) == 3


def test_shipped_models_keep_the_fingerprints_of_existing_galleries():
    assert fingerprint_of(read_manifest(SHIPPED / "sface")) == "80b95f1c14ac4a78"
    assert fingerprint_of(read_manifest(SHIPPED / "omniglot")) == "8c91c460c68254dd"


def say_search_dim(folder, search_dim):
    manifest = read_manifest(folder)
    (folder / "model.json").write_text(json.dumps(manifest | {"search_dim": search_dim}))


@pytest.mark.parametrize("search_dim", [0, -1, 129, 64.0, "64", True, None, [64]])
def test_a_search_dim_that_is_not_part_of_a_template_is_refused(copied, search_dim):
    say_search_dim(copied, search_dim)
    with pytest.raises(ModelError, match="the search code is 1 to 128 numbers, not "):
        Model.load(copied)


def test_a_search_code_is_a_templates_leading_numbers_scaled_to_length_one(copied):
    say_search_dim(copied, 3)
    model = Model.load(copied)
    assert (model.dim, model.search_dim) == (128, 3)
    template = np.zeros(128, np.float32)
    template[[0, 2, 5]] = 0.3, 0.4, 0.75**0.5
    nothing_there = np.eye(128, dtype=np.float32)[4]  # a trunk that saw nothing
    codes = model.search_codes(np.stack([template, nothing_there]))
    assert codes == pytest.approx(np.array([[0.6, 0, 0.8], [0, 0, 0]]), abs=1e-6)
    assert model.search_codes(np.zeros((0, 128), np.float32)).shape == (0, 3)


def test_without_a_search_dim_the_search_code_is_the_whole_template():
    model = Model.load("sface")
    templates = np.eye(128, dtype=np.float32)
    assert model.search_dim == 128
    assert model.search_codes(templates) is templates


def test_a_shipped_model_is_found_by_the_fingerprint_of_its_templates():
    assert shipped_model("80b95f1c14ac4a78") == "sface"
    assert shipped_model("0123456789abcdef") is None


def test_the_fingerprint_of_drawings_changes_with_mirror_and_ink_version(monkeypatch):
    sface = read_manifest(SHIPPED / "sface")
    drawing, whole = (sface | {"alignment": a, "mirror": False} for a in ("ink", "whole"))
    before = [fingerprint_of(manifest) for manifest in (sface, whole, drawing)]
    for manifest in (sface, whole, drawing):
        assert fingerprint_of(manifest | {"mirror": True}) not in before
    monkeypatch.setattr("facesearch.manifest.INK_VERSION", ink.INK_VERSION + 1)
    after = [fingerprint_of(manifest) for manifest in (sface, whole, drawing)]
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, True, False]


def test_the_constants_of_ink_do_not_change_without_a_new_version():
    constants = (ink.INK_FILL, ink.PAGE_PX, ink.DOT_PX, ink.INK_SIDE_PX)
    constants += (ink.MIN_CONTRAST, ink.STRAY)
    assert {ink.INK_VERSION: constants} == {1: (0.8, 105, 20, 512, 24, 10_000)}
