"""Templates -> HTML, and the words in which the pages write probabilities, paths and decisions."""

from collections.abc import Awaitable
from pathlib import Path

import jinja2
from markupsafe import Markup, escape
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from facesearch.duplicates.photos import why_kept
from facesearch.errors import PhotoError
from facesearch.gallery import Decision
from facesearch.identification import IdentifiedFace
from facesearch.serving.desk import Desk
from facesearch.web.diagrams import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH

TWICE = "same_person_twice"  # key of a request: a photo is a mirror or a collage
FPIR = 0.01  # the default of `Gallery.identify`; the page explains it
WINDOW = 60  # people or faces sent at once
STATIC = Path(__file__).parent / "static"


class Templates:
    """The templates of the pages, with the values and filters that all of them use."""

    def __init__(self, desk: Desk) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("facesearch.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "subject": desk.subject,
            "has_review": bool(desk.review.photos),
            "diagram_area": {
                "width": WIDTH,
                "height": HEIGHT,
                "left": LEFT,
                "right": WIDTH - RIGHT,
                "top": TOP,
                "bottom": HEIGHT - BOTTOM,
            },
        }
        self._environment.filters |= {
            "percent": percent,
            "face_label": face_label,
            "why_kept": why_kept,
            "path": breakable,
            "counted": counted,
        }

    def html(self, template: str, status: int = 200, **values: object) -> Response:
        """Return an answer with the HTML of a template."""
        return HTMLResponse(self.text(template, **values), status)

    def text(self, template: str, **values: object) -> str:
        """Return the HTML of a template as a string."""
        return self._environment.get_template(template).render(**values)


def percent(share: float) -> str:
    """Return a probability as text, which never claims certainty."""
    if share > 0.999:
        return "over 99.9%"
    return "under 0.1%" if share < 0.001 else f"{share:.1%}"


def counted(n: int, one: str, many: str = "") -> str:
    """Return a number with its noun, as "1 face"; `many` defaults to `one` with an s."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def breakable(path: str | Path) -> Markup:
    """Return the HTML of a path whose line may break after every folder."""
    return escape(str(path)).replace("/", Markup("/<wbr>"))


def face_label(face: IdentifiedFace) -> str:
    """Return the name of a face's person, or what it is instead."""
    if face.person is not None:
        return face.person
    if face.dismissed_as is not None:
        return "a stranger" if face.dismissed_as == "stranger" else "not a face"
    if face.also_like is not None:
        return f"also like {face.also_like.person}"
    if face.probably is not None:
        return f"probably {face.probably.person}"
    return " or ".join(face.alternatives) or "unknown"


def decided(decision: Decision, **more: str | int) -> Response:
    """Return what a script needs of a decision: a sentence, and the number that undoes it."""
    said = decision.summary[:1].upper() + decision.summary[1:] + "."
    if decision.id is None:
        said = f"Already {decision.summary}; nothing was changed."
    return JSONResponse({"said": said, "undo": decision.id, **more})


async def jpeg_or_gone(jpeg: Awaitable[bytes]) -> Response:
    """Return a JPEG, or the drawing of a missing photo if the photo cannot be read."""
    try:
        return Response(await jpeg, media_type="image/jpeg")
    except PhotoError:
        return FileResponse(STATIC / "gone.svg")
