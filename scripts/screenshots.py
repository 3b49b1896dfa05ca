"""Make the pictures of docs/web-page.md and the README again: python scripts/screenshots.py

They show only two portraits that installed packages contain, and an alphabet drawn here. Needs the
extras `demo`, `web`, `train` and `dev`, and Debian's Chromium. Takes some minutes, most of them for
a short training. Writes only to docs/pages.
"""

import base64
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from facesearch import Gallery, Model
from facesearch.training.modern import Modern
from facesearch.training.train_pictures import train_on_pictures
from facesearch_cli.demo import PORTRAITS, make_photos, portrait
from facesearch_cli.glyphs import GLYPHS, HANDS, PEN, Hand, Stroke, curve, drawn_by, line, ring

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pages"
CHROMIUM = Path("/usr/bin/chromium")  # Debian's; no browser is ever downloaded
SIZE = ViewportSize(width=1280, height=800)
WEBP_QUALITY = 80
MOST_BYTES = 100_000  # per picture

N_INVENTED = 48  # characters besides those of `facesearch demo --glyphs`
N_STRANGERS = 14  # of all characters, not enrolled
TWICE = {"Kep": "Keppler", "Dorek": "Dorrek", "Lum": "Loom", "Efi": "Effie", "Murek": "Murreck"}
BEGINNINGS = ("Bal", "Dor", "Fen", "Gil", "Hul", "Jas", "Kor", "Lem", "Mur", "Nad", "Pel", "Ros")
ENDINGS = ("a", "ek", "im", "ou")

DROP = """([name, data, place]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const held = new DataTransfer();
    held.items.add(new File([bytes], name));
    document.querySelector(place).dispatchEvent(
        new DragEvent("drop", { dataTransfer: held, bubbles: true }));
}"""


def main() -> int:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="facesearch-screenshots-") as folder:
        home = Path(folder)
        faces, glyphs = make_faces(home), make_glyphs(home)
        train(home)
        with browser_page() as page:
            with serving("--gallery", faces) as address:
                shoot(page, address, FACES, home)
            options = ("--model", "omniglot", "--training", home / "letters")
            with serving("--gallery", glyphs, *options, home / "scans") as address:
                shoot(page, address, CHARACTERS, home)
    for picture in sorted(PICTURES.iterdir()):
        print(f"{picture.stat().st_size:7,} bytes  {picture.name}")
        if picture.stat().st_size > MOST_BYTES:
            print(f"{picture.name} is too large", file=sys.stderr)
            return 1
    return 0


# Content of the pictures


def make_faces(home: Path) -> Path:
    """Return a new gallery of the two portraits; write edits of them into `home`/photos."""
    portraits = {person: portrait(person) for person in PORTRAITS}
    references = {person: path for person, path in portraits.items() if path is not None}
    (home / "photos").mkdir()
    make_photos(references, home / "photos")
    enroll(home / "faces.db", "default", list(references.items()))
    return home / "faces.db"


def make_glyphs(home: Path) -> Path:
    """Return a new gallery of characters; write drawings to review into `home`/scans.

    As in grown galleries, some characters are enrolled under two names or under a wrong one.
    """
    invent()
    hands = [PEN, *HANDS, *more_hands(4)]
    every = list(GLYPHS)
    known, strangers = every[:-N_STRANGERS], every[-N_STRANGERS:]
    drawings: list[tuple[str, Path]] = []
    for number, name in enumerate(known):
        drawings += [(name, draw(hand, name, home / "drawn")) for hand in hands[: 2 + number % 3]]
    for name, other in TWICE.items():
        drawings += [(other, draw(hand, name, home / "drawn")) for hand in hands[4:]]
    for hand in hands[:3]:
        drawings.append(("Kora", draw(hand, "Lemou", home / "drawn")))
    copy = home / "drawn" / "Avo copied.jpg"
    Image.open(draw(PEN, "Avo", home / "drawn")).save(copy, quality=80)
    drawings.append(("Avo", copy))
    enroll(home / "glyphs.db", "omniglot", drawings)
    for number, name in enumerate(strangers):
        for hand in hands[: 1 + number % 6]:
            draw(hand, name, home / "scans")
    for name in known[::3]:
        draw(hands[-1], name, home / "scans")
    scan = Image.open(draw(PEN, strangers[-1], home / "scans"))
    scan.resize((180, 180)).save(home / "scans" / "small.jpg", quality=85)
    return home / "glyphs.db"


def enroll(path: Path, model: str, drawings: Sequence[tuple[str, Path]]) -> None:
    """Enroll each name from its pictures in a new gallery at `path`."""
    with Gallery(path, Model.load(model)) as gallery:
        for result in gallery.enroll(drawings):
            if result.status != "enrolled":
                print(f"{result.person} was {result.status}: {result.remark}", file=sys.stderr)


def invent() -> None:
    """Add made-up characters to the alphabet of the demo, the same in each run."""
    names = [begin + end for end in ENDINGS for begin in BEGINNINGS]
    chance = np.random.default_rng(5)
    for name in names[:N_INVENTED]:
        GLYPHS[name] = tuple(invented(chance) for _ in range(chance.integers(2, 5)))


def invented(chance: np.random.Generator) -> Stroke:
    """Return a random stroke between the crossings of a wide grid, or a ring."""
    if chance.random() < 0.15:
        x, y = chance.integers(20, 80, 2).tolist()
        return ring(x, y, int(chance.integers(10, 19)))
    crossings = chance.permutation(16)[: chance.integers(2, 5)]
    points = [(4 + 31 * (at % 4), 4 + 31 * (at // 4)) for at in crossings.tolist()]
    return (curve if chance.random() < 0.6 else line)(*points)


def more_hands(n: int) -> list[Hand]:
    """Return more handwritings, between those of the demo."""
    return [
        Hand(f"hand {k}", "pen", (20 + 25 * k, 20, 90 - 20 * k), (255, 255, 250),
             0.03 + 0.015 * k, 0.12 * (-1) ** k, 3 * k - 5, 0.02 + 0.004 * k)
        for k in range(n)
    ]  # fmt: skip


def draw(hand: Hand, name: str, folder: Path) -> Path:
    """Draw a character in a handwriting; return the file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name} {hand.name}.png"
    Image.fromarray(drawn_by(hand, name)).save(path)
    return path


def train(home: Path) -> None:
    """Train a small network on the characters, long enough for curves."""
    hands = [PEN, *HANDS, *more_hands(4)]
    for name in GLYPHS:
        for hand in hands:
            draw(hand, name, home / "written" / name)
    recipe = Modern(
        steps=160,
        evaluate_every=10,
        stem=12,
        widths=(16, 32, 64),
        depths=(1, 1, 1),
        episodes=2,
        ways=8,
    )
    train_on_pictures(home / "written", recipe, home / "letters", watch=lambda progress: None)


# The server and the browser


@contextmanager
def serving(*arguments: object) -> Iterator[str]:
    """Run `facesearch web`; yield its address."""
    command = [sys.executable, "-m", "facesearch_cli", "web", "--no-browser", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def environment() -> dict[str, str]:
    """Return an environment in which a command finds the packages of this script."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


@contextmanager
def browser_page() -> Iterator[Page]:
    """Yield a browser page in light colors."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport=SIZE, color_scheme="light")
        browser.close()


class Shot(NamedTuple):
    """A picture to take of a page."""

    name: str  # of the picture
    path: str  # of the page
    prepare: Callable[[Page, Path], None]  # acts as a user would; the folder has photos
    whole: bool = False  # the whole page, not only the window


def shoot(page: Page, address: str, shots: Sequence[Shot], home: Path) -> None:
    """Take pictures of the server at `address`."""
    page.goto(address)
    page.get_by_role("heading", name="Who is in this photo?").wait_for()
    here = address.partition("?")[0].rstrip("/")
    for shot in shots:
        page.goto(here + shot.path)
        shot.prepare(page, home)
        page.wait_for_load_state("networkidle")
        taken = Image.open(io.BytesIO(page.screenshot(full_page=shot.whole)))
        taken.save(PICTURES / f"{shot.name}.webp", quality=WEBP_QUALITY, method=6)


def drop(page: Page, photo: Path, place: str = "body") -> None:
    """Drop a photo on an element of the page."""
    data = base64.b64encode(photo.read_bytes()).decode()
    page.evaluate(DROP, [photo.name, data, place])


# Preparations of each page


def identify(page: Page, home: Path) -> None:
    for name in ("dark.jpg", "group.jpg"):
        drop(page, home / "photos" / name)
        page.get_by_role("heading", name=name).wait_for()


def panel(page: Page, home: Path) -> None:
    identify(page, home)
    page.locator(".faces button", has_text="Grace Hopper").first.click()
    page.get_by_role("dialog").wait_for()


def verify(page: Page, home: Path) -> None:
    drop(page, home / "photos" / "hopper.jpg", "[data-side=a]")
    drop(page, home / "photos" / "group.jpg", "[data-side=b]")
    page.locator(".verdict").wait_for()
    page.locator(".pick").last.click()
    page.locator(
        ".pick[aria-pressed=true]", has=page.get_by_alt_text("Number 2 by size")
    ).wait_for()


def nothing(page: Page, home: Path) -> None:
    pass


def person(page: Page, home: Path) -> None:
    page.get_by_role("link", name="Kora").click()
    page.locator("#alike li").first.wait_for()
    for face in page.get_by_role("checkbox").all()[-3:]:
        face.check()  # drawings of another character
    page.evaluate("scrollTo(0, 0)")


def groups(page: Page, home: Path) -> None:
    page.get_by_label("Who is this?").first.wait_for(timeout=120_000)


def review(page: Page, home: Path) -> None:
    page.locator(".case:not([hidden]) h2").wait_for()


def duplicates(page: Page, home: Path) -> None:
    page.locator("[data-card]").wait_for(timeout=120_000)


def the_map(page: Page, home: Path) -> None:
    page.get_by_label("Find a person").fill("Kora")
    page.locator("#map-theirs li").first.wait_for()


FACES = (
    Shot("identify", "/", identify),
    Shot("face", "/", panel),
    Shot("verify", "/verify", verify, whole=True),
    Shot("model", "/model", nothing),
)
CHARACTERS = (
    Shot("groups", "/groups", groups),
    Shot("people", "/people", nothing),
    Shot("person", "/people?search=kora", person),
    Shot("review", "/review", review),
    Shot("duplicates", "/duplicates?of=names", duplicates),
    Shot("map", "/model/map", the_map),
    Shot("training", "/training", nothing),
)

if __name__ == "__main__":
    sys.exit(main())
