"""A running `facesearch web`, and ways to talk to it: requests, raw bytes, a browser."""

import asyncio
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from gallery_rows import store_of
from PIL import Image

from facesearch import Gallery, Model
from facesearch.photo import read_photo
from facesearch.storage.rows import FaceRow

sys.path.insert(0, str(Path(__file__).parent))  # for browser_steps, and tests' own helpers

CHROMIUM = Path("/usr/bin/chromium")  # Debian's; no browser is ever downloaded


@dataclass
class Site:
    """A server, and the cookie it gave."""

    address: str  # with the token
    process: subprocess.Popen | None = None  # None: it runs in this one
    cookie: str = ""

    def enter(self):
        """Return the site after it got the cookie."""
        answer = self.ask("GET", self.address.partition(self.host)[2])
        self.cookie = answer[1]["set-cookie"].partition(";")[0]
        return self

    @property
    def host(self):
        return urlsplit(self.address).netloc

    @property
    def port(self):
        return urlsplit(self.address).port

    def ask(self, method, path, body=None, **headers):
        """Return (status, headers, body) of the answer to a request as the page sends it."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        if method != "GET":
            headers.setdefault("Origin", f"http://{self.host}")
            headers.setdefault("Content-Type", "application/octet-stream")
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def tell(self, path, **values):
        """Return (status, JSON) of the answer to a change that a script requests."""
        body = json.dumps(values).encode()
        status, _, answer = self.ask("POST", path, body, Content_Type="application/json")
        return status, json.loads(answer)

    def raw(self, *parts):
        """Return the answer to raw bytes, sent on a connection of their own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            for part in parts:
                connection.sendall(part)
            answer = b""
            while b"\r\n\r\n" not in answer and (some := connection.recv(65536)):
                answer += some
            return answer

    def status(self, *lines, body=b""):
        """Return the status of the answer to a request of these lines."""
        return int(self.raw("\r\n".join([*lines, "", ""]).encode() + body).split()[1])


@pytest.fixture(scope="session")
def start_site():
    """Start `facesearch web --no-browser` with more options; end them all at the end."""
    pytest.importorskip("starlette", reason="the extra web is not installed")
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    started = []

    def start(*options):
        command = [sys.executable, "-m", "facesearch_cli", "web", "--no-browser"]
        process = subprocess.Popen(
            [*command, *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        started.append(process)
        return Site(process.stdout.readline().strip(), process).enter()

    yield start
    for process in started:
        process.terminate()
        process.communicate()


class App:
    """An application with its guard in this process, without a server: quicker to start."""

    def __init__(self, app):
        from facesearch.serving.guard import Guard

        self._app, self._runner = Guard(app, names=("here",), port=1, token="-"), asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app)
        self._runner.run(self._lifespan.__aenter__())

    def close(self):
        self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def ask(self, method, address, body=b"", **headers):
        """Return (status, headers, body) of the answer to a request as the page sends it."""
        path, _, query = address.partition("?")
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {
            "Host": "here:1",
            "Cookie": "facesearch-1=-",
            "Origin": "http://here:1",
        } | headers
        headers.setdefault("Content-Type", "application/octet-stream")
        fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": unquote(path), "headers": fields}
        asked = [{"type": "http.request", "body": body}]
        answer = []

        async def receive():
            return asked.pop() if asked else await asyncio.Event().wait()

        async def send(message):
            answer.append(message)

        self._runner.run(self._app({**scope, "query_string": query.encode()}, receive, send))
        fields = {name.decode(): value.decode() for name, value in answer[0]["headers"]}
        return answer[0]["status"], fields, b"".join(part["body"] for part in answer[1:])

    def tell(self, path, **values):
        """Return (status, JSON) of the answer to a change that a script requests."""
        body = json.dumps(values).encode()
        status, _, answer = self.ask("POST", path, body, Content_Type="application/json")
        return status, json.loads(answer)


@pytest.fixture(scope="session")
def _model():
    return Model.load("default")


def app_of(gallery, photos=(), folders=(), training=None):
    """Return the application of a gallery that decodes photos in this process.

    `test_decoder` and tests with `start_site` use the child process.
    """
    from facesearch.serving import decoder, desk
    from facesearch.web.app import make_app

    answers = {
        "decode": partial(decoder.decode_photo, model=gallery.model),
        "crop": decoder.crop_face,
        "shrink": decoder.shrink_photo,
    }

    class DecoderHere(decoder.DecoderProcess):
        def start(self):
            pass

        def _ask(self, name, request, *arguments):
            return answers[request](*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk, "DecoderProcess", DecoderHere)
        return make_app(gallery, lambda: gallery.model, sorted(photos), folders, training)


@pytest.fixture(scope="module")
def _uploads_stay():
    """Keep applications in this process from dropping uploads at a moment that tests do not choose.

    They do when they notice, every few seconds, that another program forgot somebody; this is
    tested with a server of its own.
    """
    desk = pytest.importorskip("facesearch.serving.desk", reason="the extra web is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk, "NOTICE_S", 3600.0)
        yield


def opening(model):
    """Yield a function that opens a gallery file as an application; close them all at the end."""
    opened = []

    def open_app(path, model=model, **more):
        gallery = Gallery(path, model)
        opened.append((App(app_of(gallery, **more)), gallery))
        return opened[-1][0]

    yield open_app
    for app, gallery in opened:
        app.close()
        gallery.close()


@pytest.fixture
def open_app(_model, _uploads_stay):
    """Open an application that is closed after the test; see `opening`."""
    yield from opening(_model)


@pytest.fixture(scope="module")
def open_app_once(_model, _uploads_stay):
    """Open an application for all tests of a file; see `opening`."""
    yield from opening(_model)


@pytest.fixture(scope="module")
def serve_here(_model, _uploads_stay):
    """Serve a gallery file from a thread, for a browser: quicker to start than `start_site`."""
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    from facesearch.serving.server import listen, server_of

    with ExitStack() as running:

        def serve_here(path, **more):
            gallery = running.enter_context(closing(Gallery(path, _model)))
            listening = running.enter_context(listen())
            server, address = server_of(app_of(gallery, **more), listening)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            running.callback(thread.join)
            running.callback(setattr, server, "should_exit", True)
            return Site(address).enter()

        yield serve_here


@pytest.fixture(scope="session")
def site(start_site, tmp_path_factory):
    """A server of an empty gallery, for tests that change nothing."""
    return start_site("--gallery", tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def crowded(start_site, _gallery_of_portraits, tmp_path_factory):
    """A server of the two people and 130 without a face, for tests that change nothing."""
    path = tmp_path_factory.mktemp("crowded") / "gallery.db"
    shutil.copy(_gallery_of_portraits, path)
    with closing(Gallery(path)) as gallery, store_of(gallery).transaction():
        for number in range(130):
            store_of(gallery).people.add(f"Person {number:03}")
    return start_site("--gallery", path)


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium; no browser is ever downloaded."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    browsers = Browsers(sync_api.sync_playwright)
    yield browsers
    browsers.close()


class Browsers:
    """One browser at a time, started again if it has died."""

    def __init__(self, sync_playwright):
        self._sync_playwright = sync_playwright
        self._playwright = self._browser = None

    def new_context(self, **options):
        if self._browser is None or not self._browser.is_connected():
            self.close()
            self._playwright = self._sync_playwright().start()
            self._browser = self._playwright.chromium.launch(
                executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
        return self._browser.new_context(**options)

    def close(self):
        for part in filter(
            None,
            (self._browser and self._browser.close, self._playwright and self._playwright.stop),
        ):
            with suppress(Exception):  # it has died already
                part()
        self._playwright = self._browser = None


def pytest_collection_modifyitems(items):
    """Rerun a test whose browser died, which is no fault of the page."""
    for item in items:
        if "open_page" in getattr(item, "fixturenames", ()):
            item.add_marker(
                pytest.mark.flaky(reruns=2, only_rerun=["has been closed", "Connection closed"])
            )


@pytest.fixture
def open_page(browser):
    """Open a site, or an address of it, in a page of its own, whose scripts have run then.

    After the test the console must hold no error but the refusals that the test lists in
    `open_page.refusals`, by status, or by the browser's name for why there is no answer.
    `open_page.context` is the context of all pages.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    troubles = []

    def open_page(site, path=None):
        page = context.new_page()
        page.on(
            "console",
            lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: troubles.append(str(error)))
        if path is None:  # as a user who opens the printed address
            page.goto(site.address)
            page.get_by_role("heading", name="Who is in this photo?").wait_for()
        else:
            name, _, value = site.cookie.partition("=")
            context.add_cookies([{"name": name, "value": value, "url": f"http://{site.host}"}])
            page.goto(f"http://{site.host}{path}")
        page.wait_for_load_state("load")
        return page

    open_page.refusals, open_page.context = [], context
    yield open_page
    with suppress(Exception):  # if the browser has died, the test has failed already
        context.close()
    for refusal in open_page.refusals:
        status = f"the server responded with a status of {refusal} "
        assert (status if isinstance(refusal, int) else refusal) in troubles.pop(0)
    assert troubles == []


def enroll_made_up(gallery, folder, name, own, k):
    """Enroll a made-up face near `own`, the direction of its person, in a photo of its own."""
    rng = np.random.default_rng([len(name), *name.encode(), k])
    noise = rng.normal(size=len(own))
    template = own / np.linalg.norm(own) + 0.4 * noise / np.linalg.norm(noise)
    photo = folder / f"{name} {k}.png"
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(photo)
    face = FaceRow((4.0, 4.0, 36.0, 36.0), np.zeros((5, 2), np.float32), 0.9, 50.0)
    store = store_of(gallery)
    person = store.people.id_of(name) or store.people.add(name)
    store.faces.insert(
        store.journal(),
        person,
        (store.pictures.kept(read_photo(photo).picture), str(photo)),
        face,
        (template / np.linalg.norm(template)).astype(np.float32),
        gallery.model.fingerprint,
        "human",
    )


@pytest.fixture(scope="session")
def _gallery_of_twins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twins")
    rng = np.random.default_rng(0)
    with closing(Gallery(folder / "gallery.db")) as gallery, store_of(gallery).transaction():
        for number in range(30):
            own = rng.normal(size=gallery.model.dim)
            for k in range(3):
                enroll_made_up(gallery, folder, f"Person {number:02}", own, k)
        for names in (("Ada", "Annie"), ("Bea", "Beatrix")):
            own = rng.normal(size=gallery.model.dim)
            for name, n_faces in zip(names, (2, 3), strict=True):
                for k in range(n_faces):
                    enroll_made_up(gallery, folder, name, own, k)
        for n_faces, first in ((3, 0), (2, 3)):
            own = rng.normal(size=gallery.model.dim)
            for k in range(first, first + n_faces):
                enroll_made_up(gallery, folder, "Zoe", own, k)
    return folder / "gallery.db"


@pytest.fixture
def gallery_of_twins(_gallery_of_twins, tmp_path):
    """A gallery file of made-up faces, new for each test.

    Ada (2 faces) and Annie (3) are one person, so are Bea (2) and Beatrix (3); Zoe is two people
    (3 and 2 faces).
    """
    return Path(shutil.copy(_gallery_of_twins, tmp_path / "twins.db"))
