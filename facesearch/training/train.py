"""The loop: batches -> a trained network, with checkpoints, validation and an early end.

    from facesearch.training.recipes import Modern
    from facesearch.training.train import train

    result = train(training_set, validation_set, Modern(), Path("runs/omniglot"))

In the run's folder: checkpoint.safetensors (everything that the next step depends on, replaced
atomically) and log.jsonl (a line an evaluation). Two runs with one seed on one machine give the
same numbers, interrupted or not.
"""

import copy
import json
import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from facesearch.errors import TrainingError
from facesearch.evaluation.one_shot import random_episodes
from facesearch.training.network import SiameseNetwork
from facesearch.training.recipes import Lesson, Recipe, TrainingSet

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"
CLIP = 5.0  # norm of the gradient; larger ones are shortened
CHECKPOINT_S = 60.0  # at most so much work is lost
EMBED_BATCH = 256
TRIALS = 100  # episodes a group of a validation

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is; given to whoever watches, every step."""

    step: int
    steps: int
    loss: float  # of this step
    pictures_per_s: float
    seconds_left: float
    data_share: float  # of the time, spent on making batches
    accuracy: float | None  # one-shot, of the last validation
    best: float | None
    validated: bool  # a validation belongs to this very step


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What a training gave."""

    network: SiameseNetwork  # the averaged weights of the best validation, ready to evaluate
    accuracy: float  # of one-shot validation, 0 to 1; 0 if there was none yet
    step: int  # the steps done
    best_step: int  # the one that these weights are of
    ended: str  # "done" all steps, "early" no gain for long, "interrupted"
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
    if there is none. KeyboardInterrupt saves and ends the training. Raises TrainingError if the
    loss is no number any more, or the folder holds the checkpoint of another recipe or other data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(data, recipe, "cuda" if torch.cuda.is_available() else "cpu")
    if resume and (folder / CHECKPOINT).exists():
        run.load(folder / CHECKPOINT)
    elif (folder / CHECKPOINT).exists():
        raise TrainingError(
            f"{folder} holds a training already; --resume goes on with it, or name another folder"
        )
    else:
        (folder / LOG).unlink(missing_ok=True)
    started, saved = time.perf_counter(), time.perf_counter()
    first, already, data_s, ended = run.step, run.seconds, 0.0, "done"
    accuracy: float | None = None
    pictures = 0

    def speed() -> float:
        return pictures / max(time.perf_counter() - started, 1e-9)

    try:
        while run.step < recipe.steps:
            before = time.perf_counter()
            run.seconds = already + before - started
            batch = run.lesson.batch(run.step)
            data_s += time.perf_counter() - before
            loss = run.advance(batch.pictures, batch.classes)
            pictures += len(batch.pictures)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss} at step {run.step}: lower the rate; the weights of the "
                    f"last checkpoint are in {folder / CHECKPOINT}"
                )
            validated = run.step % recipe.evaluate_every == 0 or run.step == recipe.steps
            if validated:
                accuracy = run.evaluate(validation)
                write_log(folder / LOG, run, loss, accuracy, speed())
            elapsed = time.perf_counter() - started
            left = (recipe.steps - run.step) * elapsed / (run.step - first)
            watch(
                Progress(
                    *(run.step, recipe.steps, loss, speed(), left, data_s / elapsed),
                    *(accuracy, run.best_accuracy if run.best_step else None, validated),
                )
            )
            if run.stale >= recipe.patience:
                ended = "early"
                break
            if time.perf_counter() - saved > CHECKPOINT_S:
                run.save(folder / CHECKPOINT)
                saved = time.perf_counter()
    except KeyboardInterrupt:
        ended = "interrupted"
    run.save(folder / CHECKPOINT)
    share = data_s / max(time.perf_counter() - started, 1e-9)
    return Trained(run.best, run.best_accuracy, run.step, run.best_step, ended, speed(), share)


class Run:
    """The state of a training: all that the next step depends on."""

    def __init__(self, data: TrainingSet, recipe: Recipe, device: str) -> None:
        self.recipe, self.device = recipe, torch.device(device)
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
        """Do one step on a batch; return its loss."""
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # of dropout and pairs
        for group in self.adam.param_groups:
            group["lr"] = self.recipe.rate * schedule(self.step / self.recipe.steps)
        self.lesson.train()
        pictures = pictures.to(self.device, memory_format=torch.channels_last)
        with narrow(self.device):
            embeddings = self.lesson.network.branch(pictures)
        loss = self.lesson.loss(embeddings.float(), classes.to(self.device))
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.lesson.parameters(), CLIP)
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

    def evaluate(self, validation: TrainingSet) -> float:
        """Return the one-shot accuracy of the averaged network; remember it if it is the best."""
        accuracy = one_shot_accuracy(self.average, validation)
        if accuracy > self.best_accuracy or self.best_step == 0:
            self.best_accuracy, self.best_step, self.stale = accuracy, self.step, 0
            self.best.load_state_dict(self.average.state_dict())
        else:
            self.stale += 1
        return accuracy

    def save(self, file: Path) -> None:
        """Replace the checkpoint `file`; whatever happens, the old or the new one is there."""
        tensors = {f"lesson.{k}": v for k, v in self.lesson.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.state_dict().items()}
        for number, moments in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{k}": v for k, v in moments.items()}
        about = {
            "recipe": recipe_json(self.recipe),
            "run": json.dumps(
                {
                    "step": self.step,
                    "seconds": self.seconds,
                    "best_accuracy": self.best_accuracy,
                    "best_step": self.best_step,
                    "stale": self.stale,
                }
            ),
        }
        new = file.with_suffix(".new")
        try:
            save_file({k: v.contiguous() for k, v in tensors.items()}, new, about)
            with new.open("rb") as stream:
                os.fsync(stream.fileno())
            new.replace(file)
        except (OSError, SafetensorError) as error:
            new.unlink(missing_ok=True)
            raise TrainingError(
                f"{file} cannot be written ({error}); the checkpoint before it is whole"
            ) from error

    def load(self, file: Path) -> None:
        """Go on from the checkpoint `file`; raises TrainingError if it is of another training."""
        try:
            with safe_open(file, "pt") as stored:
                about = stored.metadata() or {}
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise TrainingError(f"the checkpoint {file} cannot be read: {error}") from error
        if about.get("recipe") != recipe_json(self.recipe):
            raise TrainingError(
                f"{file} is of a training with other settings: {about.get('recipe')}; "
                f"this one has {recipe_json(self.recipe)}"
            )
        parts: dict[str, dict[str, Tensor]] = {"lesson": {}, "average": {}, "best": {}, "adam": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        try:
            self.lesson.load_state_dict(parts["lesson"])
            self.average.load_state_dict(parts["average"])
            self.best.load_state_dict(parts["best"])
        except RuntimeError as error:
            raise TrainingError(
                f"{file} is of a training on other data, with other classes or channels"
            ) from error
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["adam"].items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = tensor
        self.adam.load_state_dict(self.adam.state_dict() | {"state": moments})
        for key, value in json.loads(about["run"]).items():
            setattr(self, key, value)


def schedule(share: float) -> float:
    """Return the rate, as a part of the highest, after that share of all steps.

    A rise over the first twentieth, then half a cosine down to 0 (Loshchilov and Hutter 2017).
    """
    return max(min(1.0, share / 0.05) * (1 + math.cos(math.pi * share)) / 2, 1e-3)


def narrow(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context that computes in bfloat16 where the processor does so quickly."""
    quick = device.type != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.autocast(device.type, torch.bfloat16) if quick else nullcontext()


@torch.no_grad()
def embed(network: SiameseNetwork, data: TrainingSet) -> Tensor:
    """Return the embeddings (n, dim) of all pictures of `data`, in float32, undistorted."""
    device = next(network.parameters()).device
    network.eval()
    found = []
    for part in torch.split(data.pictures, EMBED_BATCH):
        pictures = (part.float() / 255).to(device, memory_format=torch.channels_last)
        with narrow(device):
            found.append(network.branch(pictures).float())
    return torch.cat(found)


@torch.no_grad()
def one_shot_accuracy(network: SiameseNetwork, data: TrainingSet, *, trials: int = TRIALS) -> float:
    """Return the accuracy of 20-way one-shot episodes within groups, by the head's logits."""
    embeddings = embed(network, data)

    def scores(rows: Any) -> Any:
        some = embeddings[torch.from_numpy(rows).to(embeddings.device)]
        return network.head.all_pairs(some, some).cpu().numpy()

    return random_episodes(scores, data.classes, data.groups, trials=trials)


def recipe_json(recipe: Recipe) -> str:
    """Return a recipe with all its settings, as JSON."""
    return json.dumps({"name": recipe.name, **asdict(recipe)}, sort_keys=True)


def write_log(file: Path, run: Run, loss: float, accuracy: float, speed: float) -> None:
    """Append one line to the log of a run."""
    line = {
        "step": run.step,
        "seconds": round(run.seconds, 1),
        "loss": round(loss, 5),
        "one_shot_validation": round(accuracy, 5),
        "best": round(run.best_accuracy, 5),
        "rate": run.adam.param_groups[0]["lr"],
        "pictures_per_s": round(speed, 1),
    }
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
