import errno
import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra train")

from safetensors.torch import load_file  # noqa: E402

from facesearch.errors import TrainingError  # noqa: E402
from facesearch.training import loop  # noqa: E402
from facesearch.training.data import TrainingSet  # noqa: E402
from facesearch.training.loop import (  # noqa: E402
    CHECKPOINT,
    LOG,
    schedule,
    train,
    truncate_log,
)
from facesearch.training.modern import Modern, ModernLesson  # noqa: E402
from facesearch.training_log import NOW, WORST, read_training  # noqa: E402

RECIPE = Modern(
    steps=8,
    evaluate_every=4,
    side_px=16,
    stem=4,
    widths=(6,),
    depths=(1,),
    dim=8,
    code=16,
    episodes=1,
    ways=3,
    shots=2,
    dropout=0.3,
)


def shapes(n_classes=6, seed=0, noise=40):
    """Classes of random blocky shapes, four noisy pictures of each."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 2, size=(n_classes, 1, 4, 4)) * (255 - noise)
    pictures = np.repeat(blocks.repeat(4, 2).repeat(4, 3), 4, 0)
    pictures = pictures + random.integers(0, noise, size=pictures.shape)
    return TrainingSet(
        torch.from_numpy(pictures.astype(np.uint8)),
        np.repeat(np.arange(n_classes), 4),
        np.zeros(n_classes, np.int64),
        drawn=True,
    )


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # these networks are too small to share
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The outcome of an uninterrupted training."""
    return train(shapes(), shapes(4, 1), RECIPE, tmp_path_factory.mktemp("whole"))


def weights(trained):
    return {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def stop_at(step):
    """Press Ctrl-C once that step is done."""

    def watch(progress):
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def test_two_runs_with_one_seed_give_the_same_weights(whole, tmp_path):
    again = train(shapes(), shapes(4, 1), RECIPE, tmp_path / "again")
    assert same(weights(whole), weights(again))
    other = train(shapes(), shapes(4, 1), replace(RECIPE, seed=1), tmp_path / "other")
    assert not same(weights(whole), weights(other))


@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(whole, tmp_path, step):
    half = train(shapes(), shapes(4, 1), RECIPE, tmp_path / "half", watch=stop_at(step))
    assert half.ended == "interrupted"
    assert half.step == step
    rest = train(shapes(), shapes(4, 1), RECIPE, tmp_path / "half", resume=True)
    assert rest.ended == "done"
    assert same(weights(whole), weights(rest))
    assert rest.accuracy == whole.accuracy


def test_writing_progress_files_changes_no_weight(tmp_path, monkeypatch):
    written = train(shapes(), shapes(4, 1), RECIPE, tmp_path / "written")
    training = read_training(tmp_path / "written")
    assert [line["step"] for line in training.evaluations] == [4, 8]
    assert (training.now["step"], training.now["steps"], training.now["ended"]) == (8, 8, "done")
    assert training.worst_step == 8
    monkeypatch.setattr(loop.Run, "write_worst_pairs", lambda self, file: torch.rand(1))
    unwritten = train(shapes(), shapes(4, 1), RECIPE, tmp_path / "unwritten")
    assert same(weights(written), weights(unwritten))
    states = [load_file(tmp_path / name / CHECKPOINT) for name in ("written", "unwritten")]
    assert states[0].keys() == states[1].keys()
    assert same(*states)  # the average and the moments, too
    monkeypatch.setattr(loop, "NOW_S", 0.0)
    half = tmp_path / "half"
    train(shapes(), shapes(4, 1), RECIPE, half, watch=stop_at(6))
    assert read_training(half).now["ended"] == "interrupted"
    rest = train(shapes(), shapes(4, 1), RECIPE, half, resume=True)
    assert same(weights(written), weights(rest))
    assert read_training(half).now["ended"] == "done"


def test_training_continues_if_progress_files_cannot_be_written(tmp_path):
    for name in (NOW, WORST):
        (tmp_path / name).mkdir()  # which no file can replace
    assert train(shapes(), shapes(4, 1), RECIPE, tmp_path).ended == "done"
    assert read_training(tmp_path).now is None
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize("where", ["loss", "validate", "save_file"])
def test_ctrl_c_in_the_middle_of_a_step_changes_nothing(whole, tmp_path, monkeypatch, where):
    owner = loop if where == "save_file" else ModernLesson
    work, calls = getattr(owner, where), []

    def pressed(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return work(*arguments)

    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(owner, where, pressed)
    half = train(shapes(), shapes(4, 1), RECIPE, tmp_path / "half")
    assert half.ended == "interrupted"
    rest = train(shapes(), shapes(4, 1), RECIPE, tmp_path / "half", resume=True)
    assert rest.ended == "done"
    assert same(weights(whole), weights(rest))
    assert (rest.accuracy, rest.best_step) == (whole.accuracy, whole.best_step)


def test_ctrl_c_twice_ends_it_at_once(tmp_path, monkeypatch):
    def pressed(*_):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ModernLesson, "loss", pressed)
    with pytest.raises(KeyboardInterrupt):
        train(shapes(), shapes(4, 1), RECIPE, tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_killed_run_continues_from_its_last_checkpoint(whole, tmp_path, monkeypatch):

    def killed(progress):
        if progress.step == 6:
            raise SystemError("as if killed")

    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.0)
    with pytest.raises(SystemError):
        train(shapes(), shapes(4, 1), RECIPE, tmp_path / "half", watch=killed)
    with (tmp_path / "half" / LOG).open("a") as log:
        log.write('{"step": 7, "loss"')  # a line that was being written
    rest = train(shapes(), shapes(4, 1), RECIPE, tmp_path / "half", resume=True)
    assert same(weights(whole), weights(rest))
    lines = [json.loads(line) for line in (tmp_path / "half" / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8]


def test_log_lines_after_the_checkpoint_are_removed(tmp_path):
    lines = [json.dumps({"step": step}) + "\n" for step in (2, 4, 6)]
    (tmp_path / LOG).write_text("".join(lines))
    truncate_log(tmp_path / LOG, 4)
    assert (tmp_path / LOG).read_text() == "".join(lines[:2])


def test_the_log_has_a_line_for_each_validation(tmp_path):
    train(shapes(), shapes(4, 1), RECIPE, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8]
    assert all(0 <= line["one_shot_validation"] <= line["best"] <= 1 for line in lines)


def test_training_raises_the_validation_accuracy(tmp_path):
    recipe = replace(RECIPE, steps=60, evaluate_every=60, rate=1e-2, dropout=0.0, ways=8)
    noisy = [shapes(40, 0, noise=190), shapes(20, 1, noise=190)]
    before = train(*noisy, replace(recipe, steps=1), tmp_path / "before")
    after = train(*noisy, recipe, tmp_path / "after")
    assert after.accuracy > before.accuracy + 0.1, (before.accuracy, after.accuracy)


def test_the_best_weights_are_kept_not_the_last(tmp_path, monkeypatch):
    accuracies = iter([0.2, 0.9, 0.3, 0.4])
    kept = []

    def scripted(lesson, network, data):
        kept.append({k: v.clone() for k, v in network.state_dict().items()})
        return next(accuracies)

    monkeypatch.setattr(ModernLesson, "validate", scripted)
    trained = train(shapes(), shapes(4, 1), replace(RECIPE, evaluate_every=2), tmp_path)
    assert trained.accuracy == 0.9
    assert same(weights(trained), kept[1])


def test_no_gain_for_long_ends_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(ModernLesson, "validate", lambda *_: 0.5)
    patient = replace(RECIPE, steps=100, evaluate_every=2, patience=3)
    trained = train(shapes(), shapes(4, 1), patient, tmp_path)
    assert trained.ended == "early"
    assert trained.step == 8  # the first validation, and three without a gain
    again = train(shapes(), shapes(4, 1), patient, tmp_path, resume=True)
    assert (again.ended, again.step) == ("early", 8)


def test_a_loss_that_is_not_finite_ends_the_training_with_a_sentence(tmp_path):
    with pytest.raises(TrainingError, match=r"diverged: at step \d the loss is .*; another --seed"):
        train(shapes(), shapes(4, 1), replace(RECIPE, rate=1e30), tmp_path)


def test_a_folder_with_a_training_is_not_overwritten(tmp_path):
    train(shapes(), shapes(4, 1), RECIPE, tmp_path)
    with pytest.raises(TrainingError, match="--resume"):
        train(shapes(), shapes(4, 1), RECIPE, tmp_path)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    train(shapes(), shapes(4, 1), RECIPE, tmp_path, watch=stop_at(2))
    with pytest.raises(TrainingError, match="differs in rate; start a new"):
        train(shapes(), shapes(4, 1), replace(RECIPE, rate=1.0), tmp_path, resume=True)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    train(shapes(), shapes(4, 1), RECIPE, tmp_path, watch=stop_at(2))
    with pytest.raises(TrainingError, match="differs in data; start a new"):
        train(shapes(6, 5), shapes(4, 1), RECIPE, tmp_path, resume=True)
    with pytest.raises(TrainingError, match="differs in validation; start a new"):
        train(shapes(), shapes(4, 2), RECIPE, tmp_path, resume=True)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"no tensors here")
    with pytest.raises(TrainingError, match="cannot read the checkpoint"):
        train(shapes(), shapes(4, 1), RECIPE, tmp_path, resume=True)


def test_a_full_disk_leaves_the_old_checkpoint_intact(tmp_path, monkeypatch):
    train(shapes(), shapes(4, 1), RECIPE, tmp_path, watch=stop_at(3))
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(tensors, file, about):
        file.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop, "save_file", full)
    with pytest.raises(TrainingError, match=r"No space left.*the previous one is intact"):
        train(shapes(), shapes(4, 1), RECIPE, tmp_path, resume=True)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [CHECKPOINT, LOG, NOW, WORST]


def test_a_disk_that_is_full_from_the_start_is_reported(tmp_path, monkeypatch):
    def full(tensors, file, about):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop, "save_file", full)
    with pytest.raises(TrainingError, match=r"No space left.*there is none yet"):
        train(shapes(), shapes(4, 1), RECIPE, tmp_path)


def test_the_averaged_and_not_the_current_network_is_validated(tmp_path):
    trained = train(shapes(), shapes(4, 1), replace(RECIPE, rate=1e-2), tmp_path)
    stored = load_file(tmp_path / CHECKPOINT)
    name = "branch.trunks.0.embedding.weight"
    assert torch.equal(trained.network.state_dict()[name], stored[f"best.{name}"])
    assert not torch.allclose(stored[f"lesson.network.{name}"], stored[f"average.{name}"])


def test_the_rate_follows_its_schedule(tmp_path):
    train(shapes(), shapes(4, 1), RECIPE, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    rates = [RECIPE.rate * schedule((line["step"] - 1) / RECIPE.steps) for line in lines]
    assert [line["rate"] for line in lines] == pytest.approx(rates)


def test_the_rate_rises_and_falls():
    assert schedule(0.0) < 0.01
    assert schedule(0.05) == pytest.approx(1.0, abs=0.01)
    assert schedule(0.5) == pytest.approx(0.5)
    assert schedule(0.99) < 0.01
