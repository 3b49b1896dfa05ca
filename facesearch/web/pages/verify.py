"""Two pictures: do they show one person?"""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facesearch.figures import Figures
from facesearch.gallery import Verification, compare
from facesearch.serving.decoder import Looked
from facesearch.serving.uploads import Upload
from facesearch.web.curves import measured_on, score_diagram
from facesearch.web.desk import Desk, percent
from facesearch.web.diagrams import Mark, share_text
from facesearch.web.pages.model import figures_of


class VerifyPage:
    """Photos come as on the page Identify; here two of them are compared."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [Route("/verify", self.page), Route("/verify/pair", self.pair)]

    async def page(self, _: Request) -> Response:
        """Return the page that takes two pictures."""
        return self._desk.html("verify.html")

    async def pair(self, request: Request) -> Response:
        """Return what is said of two photos of this run, of one face on each."""
        sides = [self._side(request, name) for name in "ab"]
        found = [(looked.seen, number - 1) for _, looked, number in sides if number]
        values: dict[str, Any] = {"sides": sides, "verification": None, "figures": None}
        if len(found) == 2:
            said = await self._desk.ask(lambda: compare(self._desk.gallery.model, *found))
            figures, _ = figures_of(self._desk.gallery.model)
            values |= {"verification": said, "figures": figures}
            if figures is not None:
                values |= standing(figures, said)
        return self._desk.html("verify_pair.html", **values)

    def _side(self, request: Request, name: str) -> tuple[Upload, Looked, int]:
        """Return a photo, what is on it, and the number of the face that counts; 0 if none is."""
        upload = self._desk.uploads.get(request.query_params.get(name, ""))
        if upload is None or upload.looked is None:
            raise HTTPException(404, "This photo is not held any more; choose it again.")
        n_faces = len(upload.looked.seen.faces)
        digits = request.query_params.get(f"face_{name}", "1")
        number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 6 else 0
        if n_faces and not 1 <= number <= n_faces:
            raise HTTPException(404, f"This photo has no such {self._desk.what}.")
        return upload, upload.looked, number if n_faces else 0


def standing(figures: Figures, said: Verification) -> dict[str, Any]:
    """Return where a pair stands among those that the model was measured with."""
    mark = Mark(said.llr, f"this pair: {percent(said.probability)}")
    pairs = figures.pairs
    above = pairs.strangers_above(said.llr)
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
