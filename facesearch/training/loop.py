"""Batches -> a trained network, with checkpoints, validation and early stopping.

    from facesearch.training.loop import train
    from facesearch.training.modern import Modern

    result = train(training_set, validation_set, Modern(), Path("runs/omniglot"))

The run's folder has checkpoint.safetensors (everything that the next step depends on, replaced
atomically), log.jsonl (a line per evaluation) and, for the training page, now.json and worst.json
(see facesearch.training_log). Two runs with one seed on one machine give the same numbers, even if
one was interrupted and resumed.
"""

import copy
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from facesearch.errors import TrainingError
from facesearch.training.data import TrainingSet
from facesearch.training.kernels import avoid_faulty_kernels
from facesearch.training.network import SiameseNetwork
from facesearch.training.recipe import Lesson, Recipe
from facesearch.training.validation import embed, mixed_precision
from facesearch.training.worst_pairs import sampled_rows, worst_pairs
from facesearch.training_log import LOG as LOG  # for callers of the trainer
from facesearch.training_log import NOW, WORST, replace_file

CHECKPOINT = "checkpoint.safetensors"
MAX_GRADIENT_NORM = 5.0  # larger gradients are scaled down to it
CHECKPOINT_S = 60.0  # seconds of work that a crash can lose
NOW_S = 2.0  # seconds between updates of now.json
SAVED_STATE = ("step", "seconds", "best_accuracy", "best_step", "stale")  # of a Run


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a training, reported after every step."""

    step: int
    steps: int
    loss: float  # of this step
    pictures_per_s: float
    seconds_left: float
    data_share: float  # share of the time spent on making batches
    accuracy: float | None  # of the last validation, see Recipe.validated_by
    best: float | None
    validated: bool  # whether this step was validated


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """The outcome of a training."""

    network: SiameseNetwork  # the averaged weights of the best validation, in evaluation mode
    accuracy: float  # of the best validation, 0 to 1; 0 if there was none yet
    step: int  # steps done
    best_step: int  # the step that the weights are from
    ended: str  # "done": all steps; "early": no gain for long; "interrupted"
    seconds: float  # of training, over all parts of an interrupted run
    pictures_per_s: float
    data_share: float


def train(
    data: TrainingSet,
    validation: TrainingSet,
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    watch: Callable[[Progress], object] = lambda progress: None,
) -> TrainingResult:
    """Train `recipe` on `data`; return the weights that do best on `validation`.

    Runs on a GPU if there is one. With `resume` the run in `folder` continues, or starts if there
    is none. Ctrl-C ends it after the current step and saves; a second Ctrl-C raises
    KeyboardInterrupt at once. Raises TrainingError if the loss is not finite, `folder` already
    holds a training, or the one to resume has other settings or data.
    """
    avoid_faulty_kernels()
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(data, validation, recipe, "cuda" if torch.cuda.is_available() else "cpu")
    if resume and (folder / CHECKPOINT).exists():
        run.load(folder / CHECKPOINT)
    elif (folder / CHECKPOINT).exists():
        raise TrainingError(
            f"{folder} already holds a training; continue it with --resume, or name another folder"
        )
    clock = Clock(run)
    with deferred_interrupt() as interrupted:
        truncate_log(folder / LOG, run.step)
        while run.step < recipe.steps and run.stale < recipe.patience and not interrupted():
            watch(train_step(run, clock, folder))
            if time.perf_counter() - clock.saved > CHECKPOINT_S:
                run.save(folder / CHECKPOINT)
                clock.saved = time.perf_counter()
        run.save(folder / CHECKPOINT)
    ended = "interrupted"
    if run.step >= recipe.steps:
        ended = "done"
    elif run.stale >= recipe.patience:
        ended = "early"
    write_end(folder / NOW, run, ended)
    elapsed = max(clock.elapsed(), 1e-9)
    return TrainingResult(
        network=run.best,
        accuracy=run.best_accuracy,
        step=run.step,
        best_step=run.best_step,
        ended=ended,
        seconds=run.seconds,
        pictures_per_s=clock.pictures / elapsed,
        data_share=clock.data_s / elapsed,
    )


class Clock:
    """Times one part of a run, from its start or from where it was resumed."""

    def __init__(self, run: "Run") -> None:
        self.first_step, self.seconds_before = run.step, run.seconds
        self.started = self.saved = time.perf_counter()
        self.shown = 0.0  # when now.json was written
        self.data_s, self.pictures = 0.0, 0

    def elapsed(self) -> float:
        """Return the seconds since this part began."""
        return time.perf_counter() - self.started


def train_step(run: "Run", clock: Clock, folder: Path) -> Progress:
    """Do the next step of `run`, validate and log it if it is due; return the progress."""
    recipe = run.recipe
    before = time.perf_counter()
    batch = run.lesson.batch(run.step)
    clock.data_s += time.perf_counter() - before
    loss = run.advance(batch.pictures, batch.classes)
    clock.pictures += len(batch.pictures)
    validated = run.step % recipe.evaluate_every == 0 or run.step == recipe.steps
    if validated:
        run.evaluate()
    elapsed = clock.elapsed()
    run.seconds = clock.seconds_before + elapsed
    progress = Progress(
        step=run.step,
        steps=recipe.steps,
        loss=loss,
        pictures_per_s=clock.pictures / elapsed,
        seconds_left=(recipe.steps - run.step) * elapsed / (run.step - clock.first_step),
        data_share=clock.data_s / elapsed,
        accuracy=run.accuracy,
        best=run.best_accuracy if run.best_step else None,
        validated=validated,
    )
    if validated:
        write_log(folder / LOG, run, progress)
        run.write_worst_pairs(folder / WORST)
    if validated or time.perf_counter() - clock.shown > NOW_S:
        write_now(folder / NOW, recipe, progress)
        clock.shown = time.perf_counter()
    return progress


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back; yield a function that says whether it was pressed.

    In the middle of a step the statistics of the batch, or some weights, have changed and others
    have not: such a state must not be saved. Pressed twice, Ctrl-C raises KeyboardInterrupt at
    once.
    """
    pressed: list[int] = []

    def note(signum: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(signum)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # Python delivers signals to the main thread only
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


class Run:
    """The state of a training: everything that the next step depends on."""

    def __init__(
        self, data: TrainingSet, validation: TrainingSet, recipe: Recipe, device: str
    ) -> None:
        self.recipe, self.device = recipe, torch.device(device)
        self.validation = validation
        self.settings = {
            "name": recipe.name,
            **asdict(recipe),
            "data": data.digest(),
            "validation": validation.digest(),
        }
        self.lesson: Lesson = recipe.lesson(data).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.lesson.network).eval()
        self.best = copy.deepcopy(self.average)
        matrices = [p for p in self.lesson.network.parameters() if p.ndim > 1]
        others = [p for p in self.lesson.parameters() if all(p is not m for m in matrices)]
        self.adam = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": recipe.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=recipe.rate,
            betas=(0.9, 0.98),
        )
        self.step, self.seconds = 0, 0.0  # over all parts of an interrupted run
        self.accuracy: float | None = None  # of the last validation since the start or resumption
        self.best_accuracy, self.best_step, self.stale = 0.0, 0, 0  # stale: validations since best

    def advance(self, pictures: Tensor, classes: Tensor) -> float:
        """Do one step on a batch; return its loss. Raises TrainingError if it is not finite."""
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # for dropout
        for group in self.adam.param_groups:
            group["lr"] = self.recipe.rate * schedule(self.step / self.recipe.steps)
        self.lesson.train()
        pictures = pictures.to(self.device, memory_format=torch.channels_last)
        with mixed_precision(self.device):
            embeddings = self.lesson.network.branch(pictures)
        loss = self.lesson.loss(embeddings.float(), classes.to(self.device))
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.lesson.parameters(), MAX_GRADIENT_NORM)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise TrainingError(
                f"training diverged: at step {self.step + 1} the loss is {loss.item():.3g}, "
                f"the norm of its gradient {norm.item():.3g}; another --seed may do better"
            )
        self.adam.step()
        self.step += 1
        self._average()
        return loss.item()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged network towards the current one, faster in the first steps."""
        keep = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        current = self.lesson.network.state_dict()
        for name, mean in self.average.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(current[name], 1 - keep)
            else:
                mean.copy_(current[name])

    def evaluate(self) -> float:
        """Return how good the averaged network is, 0 to 1; keep its weights if it is the best."""
        accuracy = self.accuracy = self.lesson.validate(self.average, self.validation)
        if accuracy > self.best_accuracy or self.best_step == 0:
            self.best_accuracy, self.best_step, self.stale = accuracy, self.step, 0
            self.best.load_state_dict(self.average.state_dict())
        else:
            self.stale += 1
        return accuracy

    def write_worst_pairs(self, file: Path) -> None:
        """Write the pairs that the averaged network gets most wrong; the run stays unchanged."""
        rows = sampled_rows(self.validation)
        embeddings = embed(self.average.branch, self.validation.only(rows))
        pairs = worst_pairs(self.average.head, embeddings, rows, self.validation)
        replace_file(file, {"step": self.step, "pairs": [asdict(pair) for pair in pairs]})

    def save(self, file: Path) -> None:
        """Replace the checkpoint `file`; if that fails, the old one stays. Raises TrainingError."""
        tensors = {f"lesson.{k}": v for k, v in self.lesson.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.state_dict().items()}
        for number, moments in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{k}": v for k, v in moments.items()}
        metadata = {
            "settings": json.dumps(self.settings, sort_keys=True),
            "run": json.dumps({name: getattr(self, name) for name in SAVED_STATE}),
        }
        new = file.with_suffix(".new")
        try:
            save_file({k: v.contiguous() for k, v in tensors.items()}, new, metadata)
            with new.open("rb") as stream:
                os.fsync(stream.fileno())
            new.replace(file)
        except (OSError, SafetensorError) as error:
            new.unlink(missing_ok=True)
            state = "the previous one is intact" if file.exists() else "there is none yet"
            raise TrainingError(f"cannot write the checkpoint {file} ({error}); {state}") from error

    def load(self, file: Path) -> None:
        """Continue from `file`. Raises TrainingError if it is unreadable or of another training."""
        try:
            with safe_open(file, "pt") as stored:
                metadata = stored.metadata() or {}
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise TrainingError(f"cannot read the checkpoint {file}: {error}") from error
        settings = json.loads(metadata.get("settings", "{}"))
        own = json.loads(json.dumps(self.settings))
        different = [name for name in own | settings if own.get(name) != settings.get(name)]
        if different:
            raise TrainingError(
                f"{file} is of a training that differs in {', '.join(sorted(different))}; "
                "start a new training in another folder"
            )
        parts: dict[str, dict[str, Tensor]] = {"lesson": {}, "average": {}, "best": {}, "adam": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self.lesson.load_state_dict(parts["lesson"])
        self.average.load_state_dict(parts["average"])
        self.best.load_state_dict(parts["best"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["adam"].items():
            number, _, key = name.partition(".")
            if tensor.ndim == 4:  # like the weights that it belongs to
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            moments.setdefault(int(number), {})[key] = tensor
        self.adam.load_state_dict(self.adam.state_dict() | {"state": moments})
        state = json.loads(metadata["run"])
        for name in SAVED_STATE:
            setattr(self, name, state[name])


def schedule(share: float) -> float:
    """Return the learning rate after that share of all steps, as a share of the highest.

    Half a cosine down to a thousandth (Loshchilov and Hutter 2017), with a linear warm-up over the
    first twentieth.
    """
    return max(min(1.0, share / 0.05) * (1 + math.cos(math.pi * share)) / 2, 1e-3)


def write_log(file: Path, run: Run, progress: Progress) -> None:
    """Append a line to the log of a run."""
    line = {
        "step": run.step,
        "seconds": round(run.seconds, 1),
        "loss": round(progress.loss, 5),
        "one_shot_validation": round(progress.accuracy or 0.0, 5),
        "best": round(run.best_accuracy, 5),
        "rate": run.adam.param_groups[0]["lr"],
        "pictures_per_s": round(progress.pictures_per_s, 1),
        "data_share": round(progress.data_share, 4),
    }
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def write_now(file: Path, recipe: Recipe, progress: Progress) -> None:
    """Replace now.json with the progress of a run."""
    content = {
        "recipe": recipe.name,
        "validated_by": recipe.validated_by,
        "step": progress.step,
        "steps": progress.steps,
        "loss": progress.loss,
        "pictures_per_s": progress.pictures_per_s,
        "seconds_left": progress.seconds_left,
        "best": progress.best,
        "ended": None,
        "at": time.time(),
    }
    replace_file(file, content)


def write_end(file: Path, run: Run, ended: str) -> None:
    """Replace now.json when a run has ended."""
    content = {
        "recipe": run.recipe.name,
        "validated_by": run.recipe.validated_by,
        "step": run.step,
        "steps": run.recipe.steps,
        "ended": ended,
        "best": run.best_accuracy,
        "at": time.time(),
    }
    replace_file(file, content)


def truncate_log(file: Path, step: int) -> None:
    """Keep the log's lines up to `step`: later ones are written again if the run was killed."""
    file.touch()
    complete = [line for line in file.read_text("utf-8").splitlines(True) if line.endswith("}\n")]
    kept = [line for line in complete if json.loads(line)["step"] <= step]
    file.write_text("".join(kept), "utf-8")
