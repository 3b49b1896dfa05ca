"""What the gallery's model is, and how accurate it was measured to be."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facesearch.errors import ModelError
from facesearch.figures import Figures, read_figures
from facesearch.model import Model
from facesearch.serving.desk import Desk
from facesearch.web.curves import measured_on, model_diagrams
from facesearch.web.markdown import rendered
from facesearch.web.rendering import Templates

CARD = "MODEL_CARD.md"


class ModelPage:
    """The page of the model: facts, diagrams and model card."""

    def __init__(self, desk: Desk, templates: Templates) -> None:
        self._desk, self._templates = desk, templates
        self.routes = [Route("/model", self.page)]

    async def page(self, _: Request) -> Response:
        """Return the page of the model."""
        model = self._desk.gallery.model
        figures, trouble = figures_of(model)
        return self._templates.html(
            "model.html",
            name=model.name,
            facts=facts_of(model),
            card=card_of(model),
            trouble=trouble,
            measured=measured_on(figures) if figures else None,
            diagrams=model_diagrams(figures) if figures else [],
        )


def figures_of(model: Model) -> tuple[Figures | None, str | None]:
    """Return a model's measurements, or None, with the reason if they are there but unreadable."""
    try:
        return read_figures(model.folder, model.manifest), None
    except ModelError as error:
        return None, str(error)


def card_of(model: Model) -> str | None:
    """Return the HTML of a model's card, None if it has none."""
    try:
        return rendered((model.folder / CARD).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def facts_of(model: Model) -> list[tuple[str, Any]]:
    """Return the facts of the manifest that users want to know, as (name, fact)."""
    manifest = model.manifest
    licence = manifest.get("licence", {})
    searched = (
        "" if model.search_dim == model.dim else f", searched by the first {model.search_dim}"
    )
    facts = [
        ("Version", manifest.get("version")),
        ("Compares", f"{manifest['kind']}s, {model.dim} numbers each{searched}"),
        ("License of the weights", licence.get("weights")),
        ("Data", licence.get("data")),
        ("Calibrated on", manifest["calibration"].get("made_from")),
        ("Calibration", manifest["calibration"].get("note")),
        ("Fingerprint", model.fingerprint),
    ]
    return [(name, fact) for name, fact in facts if fact]
