import json
import shutil

import pytest

from facesearch.detection.factory import YUNET_FILE
from facesearch.extras import install_command
from facesearch.shipped import model_folder


def test_models_list_names_the_default_and_the_licenses(facesearch):
    models = json.loads(facesearch("models", "list", "--json").stdout)["models"]
    assert [(model["name"], model["default"]) for model in models] == [
        ("omniglot", False),
        ("sface", False),
        ("twin", True),
    ]
    for model in models:
        assert "Apache-2.0" in model["licence"]["weights"]
        assert model["name"] in facesearch("models", "list").stdout


def test_models_show_names_the_fingerprint(facesearch):
    shown = facesearch("models", "show")
    assert shown.exit_code == 0
    facts = json.loads(facesearch("models", "show", "--json").stdout)
    assert f"fingerprint\t{facts['fingerprint']}\n" in shown.stdout


def test_models_show_names_the_search_dimension(facesearch, tmp_path):
    manifest = json.loads((model_folder("sface") / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(manifest | {"search_dim": 96}))
    for model, search_dim in (("sface", 128), (tmp_path, 96)):
        facts = json.loads(facesearch("models", "show", model, "--json").stdout)
        assert (facts["dim"], facts["search_dim"]) == (128, search_dim)


@pytest.mark.parametrize("key", ["alignment", "sha256", "dim"])
def test_models_show_of_an_incomplete_manifest_is_one_sentence(facesearch, tmp_path, key):
    manifest = json.loads((model_folder("default") / "model.json").read_text())
    del manifest[key]
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    result = facesearch("models", "show", tmp_path)
    assert result.exit_code == 4
    assert result.stderr == f"Error: {tmp_path / 'model.json'} does not say: {key}\n"


def test_a_missing_model_is_one_sentence(facesearch, portraits):
    result = facesearch("verify", *portraits, "--model", "nonsense")
    assert result.exit_code == 4
    assert "there is no model nonsense" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_doctor_finds_everything_in_order(facesearch, enrolled_gallery):
    result = facesearch("doctor", "--gallery", enrolled_gallery, "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    states = {check["what"]: check["state"] for check in report["checks"]}
    assert report["ok"] is True
    assert states["model"] == states["engine opencv"] == states["gallery"] == "ok"
    details = {check["what"]: check["detail"] for check in report["checks"]}
    assert "2 people, 2 templates, sound" in details["gallery"]


@pytest.mark.slow
def test_doctor_says_how_to_install_a_missing_extra(facesearch, monkeypatch):
    monkeypatch.setattr("facesearch_cli.doctor.EXTRAS", {"heic": "no-such-package"})
    result = facesearch("doctor")
    assert result.exit_code == 0
    assert f"extra heic\t-\t{install_command('heic')}" in result.stdout
    assert "facesearch enroll creates one" in result.stdout  # no gallery yet is no fault


def test_doctor_exits_4_for_a_damaged_model(facesearch, tmp_path):
    damaged = shutil.copytree(model_folder("default"), tmp_path / "model")
    with (damaged / "head.npz").open("ab") as file:
        file.write(b"\0")
    result = facesearch("doctor", "--model", damaged)
    assert result.exit_code == 4
    assert "head.npz is damaged" in result.stdout


def test_doctor_runs_the_detector_too(facesearch, tmp_path, monkeypatch):
    damaged = tmp_path / "detector.onnx"
    damaged.write_bytes(YUNET_FILE.read_bytes() + b"\0")
    monkeypatch.setattr("facesearch.detection.factory.YUNET_FILE", damaged)
    result = facesearch("doctor")
    assert result.exit_code == 4
    assert "engine opencv\tBROKEN\tthe model file" in result.stdout


def test_doctor_exits_4_for_a_damaged_gallery(facesearch, enrolled_gallery):
    enrolled_gallery.write_bytes(b"this is no database" * 1000)
    result = facesearch("doctor", "--gallery", enrolled_gallery)
    assert result.exit_code == 4
    assert "damaged or not a gallery" in result.stdout
