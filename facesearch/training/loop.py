"""The loop: batches -> a trained network, with checkpoints, validation and an early end.

    from facesearch.training.recipes import Modern
    from facesearch.training.loop import train

    result = train(training_set, validation_set, Modern(), Path("runs/omniglot"))

In the run's folder: checkpoint.safetensors (everything that the next step depends on, replaced
atomically), log.jsonl (a line an evaluation), and for who watches now.json and worst.json (see
facesearch.training_log). Two runs with one seed on one machine give the same numbers, interrupted
or not.
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
from facesearch.training.network import SiameseNetwork
from facesearch.training.recipes import Lesson, Recipe, TrainingSet
from facesearch.training.validation import embed, narrow
from facesearch.training.worst_pairs import sampled_rows, worst_pairs
from facesearch.training_log import LOG as LOG  # for who calls the trainer
from facesearch.training_log import NOW, WORST, replace_file

CHECKPOINT = "checkpoint.safetensors"
CLIP = 5.0  # norm of the gradient; larger ones are shortened
CHECKPOINT_S = 60.0  # at most so much work is lost
NOW_S = 2.0  # so often it is told how far it is
PROGRESS = ("step", "seconds", "best_accuracy", "best_step", "stale")  # of a Run, in its checkpoint


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is; given to whoever watches, every step."""

    step: int
    steps: int
    loss: float  # of this step
    pictures_per_s: float
    seconds_left: float
    data_share: float  # of the time, spent on making batches
    accuracy: float | None  # of the last validation, by what the recipe is validated by
    best: float | None
    validated: bool  # a validation belongs to this very step


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What a training gave."""

    network: SiameseNetwork  # the averaged weights of the best validation, ready to evaluate
    accuracy: float  # of validation, 0 to 1; 0 if there was none yet
    step: int  # the steps done
    best_step: int  # the one that these weights are of
    ended: str  # "done" all steps, "early" no gain for long, "interrupted"
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
) -> Trained:
    """Train `recipe` on `data`; keep the weights that do best on `validation`.

    It runs on a GPU where there is one. With `resume` the run in `folder` goes on, from the start
    if there is none. Ctrl-C ends it after the step that is being done, and saves; a second one
    raises KeyboardInterrupt at once. Raises TrainingError if the loss is no number any more, or
    the folder holds a training, with `resume` one with other settings or data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(data, validation, recipe, "cuda" if torch.cuda.is_available() else "cpu")
    if resume and (folder / CHECKPOINT).exists():
        run.load(folder / CHECKPOINT)
    elif (folder / CHECKPOINT).exists():
        raise TrainingError(
            f"{folder} holds a training already; --resume goes on with it, or name another folder"
        )
    first, already = run.step, run.seconds
    started = saved = time.perf_counter()
    told = 0.0
    data_s, pictures, accuracy = 0.0, 0, None
    with interruption() as interrupted:
        shorten_log(folder / LOG, run.step)
        while run.step < recipe.steps and run.stale < recipe.patience and not interrupted():
            before = time.perf_counter()
            batch = run.lesson.batch(run.step)
            data_s += time.perf_counter() - before
            loss = run.advance(batch.pictures, batch.classes)
            pictures += len(batch.pictures)
            validated = run.step % recipe.evaluate_every == 0 or run.step == recipe.steps
            if validated:
                accuracy = run.evaluate()
            elapsed = time.perf_counter() - started
            run.seconds = already + elapsed
            progress = Progress(
                step=run.step,
                steps=recipe.steps,
                loss=loss,
                pictures_per_s=pictures / elapsed,
                seconds_left=(recipe.steps - run.step) * elapsed / (run.step - first),
                data_share=data_s / elapsed,
                accuracy=accuracy,
                best=run.best_accuracy if run.best_step else None,
                validated=validated,
            )
            if validated:
                write_log(folder / LOG, run, progress)
                run.tell_worst(folder / WORST)
            if validated or time.perf_counter() - told > NOW_S:
                tell_now(folder / NOW, recipe, progress)
                told = time.perf_counter()
            watch(progress)
            if time.perf_counter() - saved > CHECKPOINT_S:
                run.save(folder / CHECKPOINT)
                saved = time.perf_counter()
        run.save(folder / CHECKPOINT)
    ended = "interrupted"
    if run.step >= recipe.steps:
        ended = "done"
    elif run.stale >= recipe.patience:
        ended = "early"
    tell_end(folder / NOW, run, ended)
    elapsed = max(time.perf_counter() - started, 1e-9)
    return Trained(
        network=run.best,
        accuracy=run.best_accuracy,
        step=run.step,
        best_step=run.best_step,
        ended=ended,
        seconds=run.seconds,
        pictures_per_s=pictures / elapsed,
        data_share=data_s / elapsed,
    )


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back; yield what says whether it was pressed. Pressed twice it raises at once.

    In the midst of a step the statistics of the batch have moved and the weights have not, or half
    of them: such a state must not be saved.
    """
    pressed: list[int] = []

    def note(signum: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(signum)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread hears of it
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


class Run:
    """The state of a training: all that the next step depends on."""

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
        self.step, self.seconds = 0, 0.0  # done, over all parts of an interrupted run
        self.best_accuracy, self.best_step, self.stale = 0.0, 0, 0

    def advance(self, pictures: Tensor, classes: Tensor) -> float:
        """Do one step on a batch; return its loss. Raises TrainingError if it is no number."""
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # of dropout
        for group in self.adam.param_groups:
            group["lr"] = self.recipe.rate * schedule(self.step / self.recipe.steps)
        self.lesson.train()
        pictures = pictures.to(self.device, memory_format=torch.channels_last)
        with narrow(self.device):
            embeddings = self.lesson.network.branch(pictures)
        loss = self.lesson.loss(embeddings.float(), classes.to(self.device))
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.lesson.parameters(), CLIP)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise TrainingError(
                f"the training went astray: at step {self.step + 1} the loss is {loss.item():.3g}, "
                f"its gradient {norm.item():.3g}; another --seed may do better"
            )
        self.adam.step()
        self.step += 1
        self._average()
        return loss.item()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged network towards the present one; quickly at first."""
        keep = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        present = self.lesson.network.state_dict()
        for name, mean in self.average.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(present[name], 1 - keep)
            else:
                mean.copy_(present[name])

    def evaluate(self) -> float:
        """Return how good the averaged network is; remember it if it is the best."""
        accuracy = self.lesson.validate(self.average, self.validation)
        if accuracy > self.best_accuracy or self.best_step == 0:
            self.best_accuracy, self.best_step, self.stale = accuracy, self.step, 0
            self.best.load_state_dict(self.average.state_dict())
        else:
            self.stale += 1
        return accuracy

    def tell_worst(self, file: Path) -> None:
        """Write the pairs that the averaged network gets most wrong; it changes nothing else."""
        rows = sampled_rows(self.validation)
        embeddings = embed(self.average.branch, self.validation.only(rows))
        pairs = worst_pairs(self.average.head, embeddings, rows, self.validation)
        replace_file(file, {"step": self.step, "pairs": [asdict(pair) for pair in pairs]})

    def save(self, file: Path) -> None:
        """Replace the checkpoint `file`; whatever happens, the old or the new one is there."""
        tensors = {f"lesson.{k}": v for k, v in self.lesson.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.state_dict().items()}
        for number, moments in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{k}": v for k, v in moments.items()}
        about = {
            "settings": json.dumps(self.settings, sort_keys=True),
            "run": json.dumps({name: getattr(self, name) for name in PROGRESS}),
        }
        new = file.with_suffix(".new")
        try:
            save_file({k: v.contiguous() for k, v in tensors.items()}, new, about)
            with new.open("rb") as stream:
                os.fsync(stream.fileno())
            new.replace(file)
        except (OSError, SafetensorError) as error:
            new.unlink(missing_ok=True)
            before = "the checkpoint before it is whole" if file.exists() else "there is none yet"
            raise TrainingError(f"{file} cannot be written ({error}); {before}") from error

    def load(self, file: Path) -> None:
        """Go on from the checkpoint `file`; raises TrainingError if it is of another training."""
        try:
            with safe_open(file, "pt") as stored:
                about = stored.metadata() or {}
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise TrainingError(f"the checkpoint {file} cannot be read: {error}") from error
        settings = json.loads(about.get("settings", "{}"))
        now = json.loads(json.dumps(self.settings))
        other = [name for name in now | settings if now.get(name) != settings.get(name)]
        if other:
            raise TrainingError(
                f"{file} is of a training that differs in {', '.join(sorted(other))}; "
                "train anew into another folder"
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
            if tensor.ndim == 4:  # as the weights that it belongs to
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            moments.setdefault(int(number), {})[key] = tensor
        self.adam.load_state_dict(self.adam.state_dict() | {"state": moments})
        done = json.loads(about["run"])
        for name in PROGRESS:
            setattr(self, name, done[name])


def schedule(share: float) -> float:
    """Return the rate, as a part of the highest, after that share of all steps.

    Half a cosine down to a thousandth (Loshchilov and Hutter 2017), held back over the first
    twentieth.
    """
    return max(min(1.0, share / 0.05) * (1 + math.cos(math.pi * share)) / 2, 1e-3)


def write_log(file: Path, run: Run, progress: Progress) -> None:
    """Append one line to the log of a run."""
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


def tell_now(file: Path, recipe: Recipe, progress: Progress) -> None:
    """Say how far a run is."""
    told = {
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
    replace_file(file, told)


def tell_end(file: Path, run: Run, ended: str) -> None:
    """Say that a run has ended, and how."""
    told = {
        "recipe": run.recipe.name,
        "validated_by": run.recipe.validated_by,
        "step": run.step,
        "steps": run.recipe.steps,
        "ended": ended,
        "best": run.best_accuracy,
        "at": time.time(),
    }
    replace_file(file, told)


def shorten_log(file: Path, step: int) -> None:
    """Leave in the log what happened up to `step`: what a kill undid happens again."""
    file.touch()
    whole = [line for line in file.read_text("utf-8").splitlines(True) if line.endswith("}\n")]
    kept = [line for line in whole if json.loads(line)["step"] <= step]
    file.write_text("".join(kept), "utf-8")
