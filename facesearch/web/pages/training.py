"""A training that runs in another process: its curves so far, and its worst pairs."""

import asyncio
import base64
import binascii
import hashlib
import time
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facesearch.serving.request_parsing import path_number
from facesearch.training_log import Training, read_training, training_folder
from facesearch.web.curves import training_diagrams, validated_by
from facesearch.web.rendering import Templates

SILENT_S = 300.0  # without news a run counts as killed; a large evaluation may take minutes


class TrainingPage:
    """The training whose folder the command line named; no request can name another."""

    def __init__(self, templates: Templates, named: Path | None) -> None:
        self._templates = templates
        self._named = named
        self.routes = [
            Route("/training", self.page),
            Route("/training/now", self.now),
            Route("/training/pairs/{step}/{place}/{side}", self.picture),
        ]

    async def page(self, _: Request) -> Response:
        """Return the page with the training so far."""
        return self._templates.html("training.html", **await self._values())

    async def now(self, request: Request) -> Response:
        """Return the part of the page that changes, 304 if the browser has it already."""
        text = self._templates.text("training_now.html", **await self._values())
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        return Response(text, media_type="text/html", headers={"ETag": tag})

    async def picture(self, request: Request) -> Response:
        """Return a picture of a pair of the newest evaluation."""
        step, place, side = (path_number(request, name) for name in ("step", "place", "side"))
        training = await self._training()
        if training is None or training.worst_step != step:
            raise HTTPException(404, "The training has moved on; these pictures are gone.")
        if place > len(training.worst) or side > 2:
            raise HTTPException(404)
        try:
            png = base64.b64decode(training.worst[place - 1].pictures[side - 1], validate=True)
        except binascii.Error as error:
            raise HTTPException(404) from error
        return Response(png, media_type="image/png")

    async def _training(self) -> Training | None:
        def read() -> Training | None:
            folder = training_folder(self._named) if self._named is not None else None
            return None if folder is None else read_training(folder)

        return await asyncio.to_thread(read)

    async def _values(self) -> dict[str, Any]:
        training = await self._training()
        named = self._named.resolve().name.removesuffix("-training") if self._named else None
        if training is None:
            return {"named": named, "training": None, "state": None, "diagrams": [], "worst": []}
        pairs = list(enumerate(training.worst, 1))
        return {
            "named": named,
            "training": training,
            "state": state_of(training, time.time()),
            "diagrams": training_diagrams(training) if training.evaluations else [],
            "worst": [
                (title, [(place, pair) for place, pair in pairs if pair.mated == mated])
                for title, mated in (
                    ("Same class, rated least alike", True),
                    ("Different classes, rated most alike", False),
                )
            ],
        }


def state_of(training: Training, now: float) -> dict[str, str]:
    """Return the state of a training at the time `now`, as name -> text."""
    news, last = training.now or {}, training.evaluations[-1] if training.evaluations else {}
    state: dict[str, str] = {}
    step, steps = number(news, "step", number(last, "step")), number(news, "steps")
    if step is not None:
        state["Step"] = f"{step:,.0f}" + (f" of {steps:,.0f}" if steps else "")
    ended = news.get("ended")
    at = number(news, "at")
    if ended:
        ways = {"done": "done", "early": "stopped early: no more improvement"}
        state["State"] = ways.get(str(ended), "interrupted; continue with --resume")
    elif at is None:
        state["State"] = "unknown"
    elif now - at > SILENT_S:
        moment = datetime.fromtimestamp(at, UTC)
        state["State"] = f"no news since {moment:%Y-%m-%d %H:%M} UTC"
    else:
        state["State"] = "running"
        left = number(news, "seconds_left")
        if left is not None:
            state["Time left"] = duration(left)
    for name, value, pattern in (
        ("Loss", number(news, "loss", number(last, "loss")), "{:.3f}"),
        (validated_by(training), percents(number(last, "one_shot_validation")), "{:.1f}%"),
        ("Best so far", percents(number(last, "best")), "{:.1f}%"),
        ("Pictures per second", number(news, "pictures_per_s"), "{:,.0f}"),
    ):
        if value is not None:
            state[name] = pattern.format(value)
    return state


def number(values: dict[str, Any], name: str, otherwise: float | None = None) -> float | None:
    """Return a finite number of `values`, `otherwise` if it is missing or anything else."""
    value = values.get(name)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    return otherwise


def percents(share: float | None) -> float | None:
    """Return a share as a percentage."""
    return None if share is None else 100 * share


def duration(seconds: float) -> str:
    """Return a rounded duration."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
