"""Two photos -> the probability that they show the same person."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facesearch.figures import Figures
from facesearch.gallery import Verification, compare
from facesearch.serving.decoder import DecodedPhoto
from facesearch.serving.desk import Desk
from facesearch.serving.uploads import Upload
from facesearch.web.curves import measured_on, score_diagram
from facesearch.web.diagrams import Mark, share_text
from facesearch.web.pages.model import figures_of
from facesearch.web.rendering import Templates, percent


class VerifyPage:
    """Compares two photos, which are uploaded as on the page Identify."""

    def __init__(self, desk: Desk, templates: Templates) -> None:
        self._desk, self._templates = desk, templates
        self.routes = [Route("/verify", self.page), Route("/verify/pair", self.pair)]

    async def page(self, _: Request) -> Response:
        """Return the page for two photos."""
        return self._templates.html("verify.html")

    async def pair(self, request: Request) -> Response:
        """Return how alike two photos of this run are, by one face in each."""
        sides = [self._side(request, name) for name in "ab"]
        found = [(decoded.seen, number - 1) for _, decoded, number in sides if number]
        values: dict[str, Any] = {"sides": sides, "verification": None, "figures": None}
        if len(found) == 2:
            verification = await self._desk.ask(lambda: compare(self._desk.gallery.model, *found))
            figures, _ = figures_of(self._desk.gallery.model)
            values |= {"verification": verification, "figures": figures}
            if figures is not None:
                values |= standing(figures, verification)
        return self._templates.html("verify_pair.html", **values)

    def _side(self, request: Request, name: str) -> tuple[Upload, DecodedPhoto, int]:
        """Return a photo, its faces, and the number of the face to compare, 0 if it has none."""
        upload = self._desk.uploads.get(request.query_params.get(name, ""))
        if upload is None or upload.decoded is None:
            raise HTTPException(404, "This photo is no longer held; choose it again.")
        n_faces = len(upload.decoded.seen.faces)
        digits = request.query_params.get(f"face_{name}", "1")
        number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 6 else 0
        if n_faces and not 1 <= number <= n_faces:
            raise HTTPException(404, f"This photo has no such {self._desk.subject}.")
        return upload, upload.decoded, number if n_faces else 0


def standing(figures: Figures, verification: Verification) -> dict[str, Any]:
    """Return where a pair stands among the pairs that the model was measured with."""
    mark = Mark(verification.llr, f"this pair: {percent(verification.probability)}")
    pairs = figures.pairs
    above = pairs.strangers_above(verification.llr)
    if above * pairs.non_mated.sum() < 1:
        strangers = f"none of the {pairs.non_mated.sum():,} measured"
    elif above < 0.01:
        strangers = f"one in {round(1 / above, -1 if above > 0.001 else -2):,.0f}"
    else:
        strangers = share_text(above)
    return {
        "diagram": score_diagram(figures, mark),
        "strangers": strangers,
        "measured": measured_on(figures),
    }
