"""A training's folder, read while it is written."""

import json

import pytest

from facesearch.training_log import (
    LOG,
    NOW,
    WORST,
    read_log,
    read_training,
    replace_file,
    training_folder,
)

LINE = {
    "step": 100,
    "seconds": 9.5,
    "loss": 0.5,
    "one_shot_validation": 0.25,
    "best": 0.3,
    "rate": 1e-4,
    "pictures_per_s": 40.0,
    "data_share": 0.01,
}


def test_a_log_is_read_to_its_last_complete_line_wherever_it_is_cut(tmp_path):
    file = tmp_path / LOG
    lines = [json.dumps(LINE | {"step": step}).encode() + b"\n" for step in (100, 200)]
    for cut in range(len(lines[1]) + 1):
        file.write_bytes(lines[0] + lines[1][:cut])
        steps = [line["step"] for line in read_log(file)]
        assert steps == ([100, 200] if cut == len(lines[1]) else [100])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"step": 1}',
        "\x00\xff",
        json.dumps(LINE | {"loss": "x"}),
        json.dumps(LINE | {"loss": float("nan")}),
    ],
)
def test_an_invalid_line_is_skipped(tmp_path, line):
    whole = json.dumps(LINE)
    (tmp_path / LOG).write_text(f"{line}\n{whole}\n", "latin-1")
    assert [line["step"] for line in read_log(tmp_path / LOG)] == [100]


def test_missing_and_unreadable_files_count_as_empty(tmp_path):
    for content in (None, b"", b"{", b"[1]", b"\xff", b'{"pairs": 3, "step": 1}', b'{"step": 1}'):
        if content is not None:
            for name in (NOW, WORST):
                (tmp_path / name).write_bytes(content)
        training = read_training(tmp_path)
        assert (training.evaluations, training.worst_step, training.worst) == ((), None, ())
    pair = {"mated": True, "probability": 0.1, "pictures": ["a"]}
    replace_file(tmp_path / WORST, {"step": 3, "pairs": [pair]})
    assert read_training(tmp_path).worst == ()


def test_files_are_replaced_completely_and_read_back(tmp_path):
    pair = {"mated": False, "probability": 0.9, "pictures": ["a", "b"]}
    replace_file(tmp_path / WORST, {"step": 3, "pairs": [pair]})
    replace_file(tmp_path / NOW, {"step": 5})
    replace_file(tmp_path / NOW, {"step": 7})
    training = read_training(tmp_path)
    assert training.now == {"step": 7}
    assert training.worst_step == 3
    assert (training.worst[0].mated, training.worst[0].pictures) == (False, ("a", "b"))
    assert sorted(file.name for file in tmp_path.iterdir()) == [NOW, WORST]


def test_a_training_is_found_by_its_folder_and_by_its_models(tmp_path):
    model, folder = tmp_path / "glyphs", tmp_path / "glyphs-training"
    assert training_folder(model) is None
    folder.mkdir()
    assert training_folder(model) is None
    (folder / LOG).touch()
    assert training_folder(model) == training_folder(folder) == folder
    model.mkdir()  # the model is there when the training is done
    assert training_folder(model) == folder
