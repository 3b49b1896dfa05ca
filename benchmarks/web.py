"""The page of a large gallery: 100,000 faces of 10,000 people, 3,000 of them of one person.

    python -m benchmarks.web [--json]

The gallery is written as one `enroll` of everybody would write it, with random templates and with
thumbnails of all covers; it has no photos. Then `facesearch web` runs as a process of its own and
is asked by a client and, if there is a Chromium, by a browser. The portrait that is uploaded comes
with the extra demo. All figures are medians; each request asks for another person or another
window, except for the first window and the largest person. Other programs on the machine slow the
server and the browser, so figures of a busy machine are upper limits. `load_before` is the number
of processes that wanted to run before.

- First byte: from the request to the head of the answer, on an open connection.
- Interactive: from the start of the navigation to the end of the page's `load` event, in the
  browser: the scripts have run. `people_pictures_ms`: until all pictures in view are loaded.
- Decisions: until the answer. `confirm_ms` decodes a photo of 512 x 600 pixels again, which takes
  most of the time (`photo_ms`: a photo is uploaded and decoded). `card_after_decision_ms`: the
  photo's card after the decision, identified with one more face in the gallery. The first photo
  (`first_photo_ms`) also builds and saves the index, and measures how strangers score.
- The review, in a browser, on a server of its own. The person in the portrait is enrolled; copies
  of it as JPEGs of 480 x 600 pixels, each of another quality, are asked about and answered with
  yes. `review_next_ms`: from the key to the frame that shows the next face with its picture
  loaded, for a user who looks at each face for 300 ms and waits for nothing else.
  `review_decision_stored_ms`: from the key to the server's answer, which decodes the photo again;
  each key waits for the answer to the one before. `review_found_s`: until the queue is ready, with
  all photos decoded for the first time.
- Memory: resident memory as Linux counts it, of the server and of its two decoder processes.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.report import parse_arguments, show
from facesearch import Gallery
from facesearch.pictures import Picture
from facesearch.serving.thumbnails import Thumbnails
from facesearch.storage.rows import FaceRow
from facesearch.vectors import unit

if TYPE_CHECKING:
    from playwright.sync_api import Page

FACES, PEOPLE = 100_000, 10_000
MANY = 3_000  # faces of the first person
WITHIN = 0.6  # length of the noise added to a person's center, which is then made a unit
GIVEN = ["Ana", "Björn", "Chloé", "David", "Élodie", "Fatma", "Göran", "Hana", "Ines", "Jürgen"]
SYLLABLES = ["ka", "lo", "mi", "ne", "ru", "sa", "ti", "vo", "ze", "du"]
BATCH = 2_000  # faces in one transaction
TIMES = 40  # requests of a kind
AT_ONCE = 100
CHROMIUM = "/usr/bin/chromium"
LOADED_AND_SEEN = """new Promise((resolve) => {
    const inSight = ({ top }) => top < innerHeight;
    const pictures = [...document.images].filter((i) => inSight(i.getBoundingClientRect()));
    const look = () => {
        const { loadEventEnd } = performance.getEntriesByType("navigation")[0];
        if (loadEventEnd && pictures.every((picture) => picture.complete))
            resolve([loadEventEnd, performance.now()]);
        else setTimeout(look, 2);
    };
    look();
})"""
LOOKED_MS = 300  # at each face before the key; the page accepts no key before 250
NEXT_SEEN = """new Promise((resolve) => {
    const shown = () => document.querySelector("#cases article:not([hidden])");
    const before = shown();
    addEventListener("keydown", ({ timeStamp }) => {
        const look = () => {
            const crop = shown() === before ? null : shown()?.querySelector(".crop");
            if (crop?.complete && crop.naturalWidth)
                requestAnimationFrame(() =>
                    setTimeout(() => resolve(performance.now() - timeStamp)));
            else setTimeout(look, 2);
        };
        look();
    }, { capture: true, once: true });
})"""
ANSWERED = """new Promise((resolve) => {
    addEventListener("keydown", ({ timeStamp }) => {
        new PerformanceObserver((seen, observer) => {
            const answer = seen.getEntries().find(({ name }) => name.endsWith("/is"));
            if (!answer) return;
            observer.disconnect();
            resolve(answer.responseEnd - timeStamp);
        }).observe({ type: "resource" });
    }, { capture: true, once: true });
})"""
BOX = (100.0, 100.0, 200.0, 220.0)


# The gallery


def build(path: Path) -> None:
    """Write the gallery, and the thumbnails of all covers and of the first people's faces."""
    rng = np.random.default_rng(0)
    n_faces = np.full(PEOPLE, (FACES - MANY) // (PEOPLE - 1))
    n_faces[1 : 1 + (FACES - MANY) % (PEOPLE - 1)] += 1
    n_faces[0] = MANY
    landmarks = np.zeros((5, 2), np.float32)
    with Gallery(path) as gallery:
        store = gallery._session.store
        width = gallery.model.dim
        centers = unit(rng.standard_normal((PEOPLE, width)).astype(np.float32))
        owners = np.repeat(np.arange(PEOPLE), n_faces)
        people: dict[int, int] = {}
        first = None  # id of the enrollment's first decision
        for start in range(0, FACES, BATCH):
            with store.transaction():
                for number in range(start, min(start + BATCH, FACES)):
                    owner = int(owners[number])
                    if owner not in people:
                        people[owner] = store.people.add(name_of(owner))
                    noise = rng.standard_normal(width).astype(np.float32)
                    template = unit(centers[owner] + WITHIN * unit(noise))
                    file_hash = sha256(b"%d" % number).hexdigest()
                    kept = store.pictures.kept(Picture(file_hash, file_hash, 1, 640, 480))
                    photo = kept, f"/absent/{number}.jpg"
                    face_id = store.faces.insert(
                        *(store.journal(), people[owner], photo),
                        FaceRow(BOX, landmarks, 0.9, 50.0),
                        template,
                        gallery.model.fingerprint,
                        "human",
                    )
                    entry = store.decisions.append(
                        "enroll", person_id=people[owner], face_id=face_id, run=first
                    )
                    first = first or entry.id
        thumbnails = Thumbnails(gallery.upkeep.index_folder)
        drawings = [drawn(number) for number in range(200)]
        for owner, person in people.items():
            faces = store.faces.of_person(person)
            for _, face in faces if 0 < owner <= TIMES else faces[:1]:
                thumbnails.keep(face, drawings[face.id % len(drawings)])


def let_wait(path: Path, photo: Path) -> Path:
    """Enroll the person in a photo; return a folder of 2 x TIMES different copies to review."""
    with Gallery(path) as gallery:
        list(gallery.enroll([("Grace Hopper", photo)]))
    folder = path.with_name("photos")
    folder.mkdir()
    with Image.open(photo) as portrait:
        small = portrait.resize((480, 600))
    for quality in range(96 - 2 * TIMES, 96):  # so that no two have the same bytes
        small.save(folder / f"{quality}.jpg", quality=quality)
    return folder


def name_of(number: int) -> str:
    """Return the name of a person: all different, in no order."""
    surname = "".join(SYLLABLES[int(digit)] for digit in f"{number * 7919 % PEOPLE:04d}")
    return f"{GIVEN[number % len(GIVEN)]} {surname.capitalize()}"


def drawn(number: int) -> bytes:
    """Return a JPEG as large as a thumbnail of the page."""
    rng = np.random.default_rng(number)
    image = Image.fromarray(rng.integers(90, 170, (24, 24, 3), np.uint8)).resize((240, 240))
    tone = tuple(int(level) for level in rng.integers(60, 220, 3))
    ImageDraw.Draw(image).ellipse((60, 40, 180, 200), fill=tone)
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=85)
    return encoded.getvalue()


# The server and its client


class Site:
    """A running `facesearch web`, asked on one open connection."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process, self.address = process, address
        self.host = urlsplit(address).netloc
        self._connection = http.client.HTTPConnection(self.host, timeout=300)
        self._connection.request("GET", address.partition(self.host)[2])
        welcome = self._connection.getresponse()
        welcome.read()
        self._cookie = (welcome.headers["Set-Cookie"] or "").partition(";")[0]

    def reconnect(self) -> None:
        """Open a new connection for the next request: the server closes idle ones after seconds."""
        self._connection.close()

    def ask(self, path: str, body: bytes | None = None, kind: str = "") -> tuple[float, bytes]:
        """Return the milliseconds until the answer started, and the answer.

        Raises RuntimeError if the status is an error.
        """
        return self._ask(self._connection, path, body, kind)

    def ask_alone(self, path: str) -> tuple[float, bytes]:
        """Return what `ask` returns, on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, timeout=300)
        try:
            return self._ask(connection, path, None, "")
        finally:
            connection.close()

    def tell(self, path: str, **values: Any) -> tuple[float, dict[str, Any]]:
        """Return the milliseconds until a change was answered, and the answer."""
        ms, answer = self.ask(path, json.dumps(values).encode(), "application/json")
        return ms, json.loads(answer)

    def _ask(
        self, connection: http.client.HTTPConnection, path: str, body: bytes | None, kind: str
    ) -> tuple[float, bytes]:
        headers = {"Cookie": self._cookie}
        if body is not None:
            headers |= {"Origin": f"http://{self.host}", "Content-Type": kind}
        start = time.perf_counter()
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        ms = 1e3 * (time.perf_counter() - start)
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status}, {text[:200]!r}")
        return ms, text


@contextmanager
def running(gallery: Path, *photos: Path) -> Iterator[Site]:
    """Yield the server of a gallery, with a review of some photos; end it afterwards."""
    command = [sys.executable, "-m", "facesearch_cli", "web", "--no-browser"]
    command += ["--gallery", str(gallery), *map(str, photos)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield Site(process, process.stdout.readline().strip())
    finally:
        process.terminate()
        process.communicate()


def typical(ask: Callable[[int], float]) -> float:
    """Return the median of what `ask` returns for 1, 2, ... TIMES."""
    return median(ask(number) for number in range(1, TIMES + 1))


# Measurements


def pages(site: Site) -> dict[str, float]:
    """Return how soon answers start."""
    searched = [name_of(number) for number in range(1, TIMES + 1)]
    typed = [name[: 3 + number % 5].lower() for number, name in enumerate(searched)]
    ids = {}
    for name in searched:
        text = site.ask(f"/people?search={quote(name)}")[1].decode()
        ids[name] = text.partition('href="/people/')[2].partition('"')[0]
    many = site.ask(f"/people?search={quote(name_of(0))}")[1].decode()
    largest = many.partition('href="/people/')[2].partition('"')[0]
    return {
        "people_first_byte_ms": typical(lambda _: site.ask("/people")[0]),
        "people_window_ms": typical(lambda n: site.ask(f"/people/rows?start={n * 240}")[0]),
        "search_ms": typical(lambda n: site.ask(f"/people?search={quote(typed[n - 1])}")[0]),
        "names_ms": typical(lambda n: site.ask(f"/names?typed={quote(typed[n - 1])}")[0]),
        "person_ms": typical(lambda n: site.ask(f"/people/{ids[searched[n - 1]]}")[0]),
        f"person_of_{MANY}_ms": median(site.ask(f"/people/{largest}")[0] for _ in range(9)),
        "thumbnail_ms": typical(lambda n: site.ask(f"/faces/{MANY + n}/picture")[0]),
    }


def decisions(site: Site, photo: Path) -> dict[str, float]:
    """Return how soon decisions, and the requests that follow them, are answered."""
    site.reconnect()
    renamed, undone = [], []
    for number in range(1, TIMES + 1):
        text = site.ask(f"/people?search={quote(name_of(number))}")[1].decode()
        person = text.partition('href="/people/')[2].partition('"')[0]
        ms, answer = site.tell(f"/people/{person}/rename", name=f"Somebody {number}")
        renamed.append(ms)
        undone.append(site.tell("/undo", number=answer["undo"])[0])
    body = photo.read_bytes()
    first_ms, card = site.ask("/photos?name=a.jpg", body, "application/octet-stream")
    address = card.decode().partition('data-address="')[2].partition('"')[0]
    confirmed, shown, panel, again = [], [], [], []
    for number in range(1, 1 + TIMES // 4):
        ms, answer = site.tell(f"{address}/faces/1/is", name=name_of(number))
        confirmed.append(ms)
        shown.append(site.ask(address)[0])
        panel.append(site.ask(f"{address}/faces/1")[0])
        site.tell("/undo", number=answer["undo"])
        again.append(site.ask("/photos?name=b.jpg", body, "application/octet-stream")[0])
    return {
        "rename_ms": median(renamed),
        "undo_ms": median(undone),
        "decision_ms": median(renamed + undone),
        "confirm_ms": median(confirmed),
        "card_after_decision_ms": median(shown),
        "panel_ms": median(panel),
        "first_photo_ms": first_ms,
        "photo_ms": median(again),
    }


@contextmanager
def browsing(site: Site) -> Iterator["Page"]:
    """Yield the first page in a browser; close the browser afterwards."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(site.address)
        page.get_by_role("heading", name="Who is in this photo?").wait_for()
        yield page
        browser.close()


def in_browser(site: Site) -> dict[str, float]:
    """Return how soon pages are usable in a browser."""
    with browsing(site) as page:

        def opened(path: str) -> tuple[float, float]:
            page.goto(f"http://{site.host}{path}", wait_until="load")
            loaded, seen = page.evaluate(LOADED_AND_SEEN)
            return loaded, seen

        opened("/people")  # warms up the browser
        people = page.locator("a.tile").evaluate_all("tiles => tiles.map(t => t.pathname)")
        grid = [opened("/people") for _ in range(TIMES)]
        person = [opened(people[number]) for number in range(TIMES)]
    return {
        "people_interactive_ms": median(loaded for loaded, _ in grid),
        "people_pictures_ms": median(seen for _, seen in grid),
        "person_interactive_ms": median(loaded for loaded, _ in person),
    }


def reviewed(site: Site) -> dict[str, float]:
    """Return how soon the next face is shown after a decision, and how soon that is stored."""
    start = time.perf_counter()
    while b'"found":false' in site.ask("/groups/progress")[1]:
        site.reconnect()
        time.sleep(0.2)
    found_s = time.perf_counter() - start

    with browsing(site) as page:
        page.goto(f"http://{site.host}/review", wait_until="load")

        def after_a_yes(seen: str) -> float:
            page.wait_for_timeout(LOOKED_MS)
            page.evaluate(f"() => {{ window.result = {seen}; }}")  # does not wait for it
            page.keyboard.press("y")
            return float(page.evaluate("window.result"))

        stored = [after_a_yes(ANSWERED) for _ in range(TIMES)]
        following = [after_a_yes(NEXT_SEEN) for _ in range(TIMES - 1)]
    return {
        "review_found_s": found_s,
        "review_next_ms": median(following),
        "review_next_slowest_ms": max(following),
        "review_decision_stored_ms": median(stored),
    }


def at_once(site: Site) -> dict[str, float]:
    """Return how many of 100 simultaneous requests fail, and the time until all are answered."""
    paths = [f"/people/rows?start={60 * n}" for n in range(AT_ONCE // 2)]
    paths += [f"/faces/{MANY + n}/picture" for n in range(1, 1 + AT_ONCE // 4)]
    paths += [f"/people?search={quote(GIVEN[n % len(GIVEN)])}" for n in range(AT_ONCE // 4)]

    def fails(path: str) -> bool:
        try:
            site.ask_alone(path)
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return True
        return False

    start = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        errors = sum(pool.map(fails, paths))
    return {
        "errors_of_100_at_once": errors,
        "all_of_100_at_once_ms": 1e3 * (time.perf_counter() - start),
    }


def memory(server: int) -> dict[str, float]:
    """Return the resident memory of the server and of its children; empty except on Linux."""
    figures: dict[str, float] = {}
    with suppress(OSError):
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        figures["server_rss_mb"] = resident_mb(server, "VmRSS")
        figures["server_peak_mb"] = resident_mb(server, "VmHWM")
        figures["decoders_rss_mb"] = sum(resident_mb(int(child), "VmRSS") for child in children)
    return figures


def resident_mb(process: int, what: str) -> float:
    """Return a memory figure of a process's status in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(what))
    return int(line.split()[1]) * 1024 / 1e6


def portrait() -> Path:
    """Return a portrait that comes with the extra demo, or exit with a message."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        sys.exit("there is no portrait; pip install 'facesearch[demo]'")
    return Path(spec.origin).parent / "mpl-data/sample_data/grace_hopper.jpg"


def has_browser() -> bool:
    """Return whether there is a browser; report it if not."""
    if Path(CHROMIUM).exists() and find_spec("playwright") is not None:
        return True
    print(f"no {CHROMIUM} or no playwright: browser figures are left out", file=sys.stderr)
    return False


def main() -> None:
    arguments, can_browse = parse_arguments(__doc__), has_browser()
    figures: dict[str, float] = {"faces": FACES, "people": PEOPLE}
    if hasattr(os, "getloadavg"):
        figures["load_before"] = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="facesearch-benchmark-") as folder:
        gallery = Path(folder) / "gallery.db"
        start = time.perf_counter()
        build(gallery)
        figures["built_s"] = time.perf_counter() - start
        figures["gallery_mb"] = gallery.stat().st_size / 1e6
        photo = Path(shutil.copy(portrait(), folder))
        with running(gallery) as site:
            figures |= pages(site)
            figures |= in_browser(site) if can_browse else {}
            figures |= decisions(site, photo)
            figures |= at_once(site)
            figures |= memory(site.process.pid)
        if can_browse:
            with running(gallery, let_wait(gallery, photo)) as site:
                figures |= reviewed(site)
    figures = {name: round(figure, 2) for name, figure in figures.items()}
    show(figures, f"The page of {FACES:,} faces of {PEOPLE:,} people:", as_json=arguments.json)


if __name__ == "__main__":
    main()
