"""A running `facesearch web`, as a process of its own, and ways to talk to it: bytes, a browser."""

import asyncio
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from facesearch import Gallery, Model
from facesearch.storage.store import FaceRow

sys.path.insert(0, str(Path(__file__).parent))  # for odd_models, here and in other processes

CHROMIUM = Path("/usr/bin/chromium")  # Debian's; no browser is ever downloaded


@dataclass
class Site:
    """A server and the cookie that it gave."""

    process: subprocess.Popen
    address: str  # with the token
    cookie: str = ""

    @property
    def host(self):
        return urlsplit(self.address).netloc

    @property
    def port(self):
        return urlsplit(self.address).port

    def ask(self, method, path, body=None, **headers):
        """Return status, headers and body of the answer to a request of the page's own."""
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

    def tell(self, path, **told):
        """Return status and answer of a change that a script asks for."""
        body = json.dumps(told).encode()
        status, _, answer = self.ask("POST", path, body, Content_Type="application/json")
        return status, json.loads(answer)

    def raw(self, *parts):
        """Return the answer to bytes as they are; the connection is not used again."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            for part in parts:
                connection.sendall(part)
            answer = b""
            while b"\r\n\r\n" not in answer and (some := connection.recv(65536)):
                answer += some
            return answer

    def status(self, *lines, body=b""):
        """Return the status of a request of these lines."""
        return int(self.raw("\r\n".join([*lines, "", ""]).encode() + body).split()[1])


@pytest.fixture(scope="session")
def start_site():
    """Start `facesearch web --no-browser` with more options; every one is ended at last."""
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
        site = Site(process, process.stdout.readline().strip())
        answer = site.ask("GET", site.address.partition(site.host)[2])
        site.cookie = answer[1]["set-cookie"].partition(";")[0]
        return site

    yield start
    for process in started:
        process.terminate()
        process.communicate()


class App:
    """The application in this process, without the guard: quicker to start than a server."""

    def __init__(self, app):
        self._app, self._runner = app, asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app)
        self._runner.run(self._lifespan.__aenter__())

    def close(self):
        self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def ask(self, method, address, body=b"", content_type="application/json"):
        """Return status, headers and body of the answer."""
        path, _, query = address.partition("?")
        headers = [(b"content-type", content_type.encode()), (b"accept", b"text/html")]
        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        asked = [{"type": "http.request", "body": body}]
        answer = []

        async def receive():
            return asked.pop() if asked else await asyncio.Event().wait()

        async def send(message):
            answer.append(message)

        self._runner.run(self._app({**scope, "query_string": query.encode()}, receive, send))
        fields = {name.decode(): value.decode() for name, value in answer[0]["headers"]}
        return answer[0]["status"], fields, b"".join(part["body"] for part in answer[1:])

    def tell(self, path, **told):
        """Return status and answer of a change that a script asks for."""
        status, _, answer = self.ask("POST", path, json.dumps(told).encode())
        return status, json.loads(answer)


@pytest.fixture(scope="session")
def _model():
    return Model.load("default")


@pytest.fixture
def open_app(_model, monkeypatch):
    """Open a gallery file, with folders, as an application in this process."""
    pytest.importorskip("starlette", reason="the extra web is not installed")
    from facesearch.web.app import make_app
    from facesearch.web.eyes import Eyes

    monkeypatch.setattr(Eyes, "start", lambda eyes: None)  # they start when they are needed
    opened = []

    def open_app(path, folders=()):
        gallery = Gallery(path, _model)
        opened.append(
            (App(make_app(gallery, partial(Model.load, "default"), (), folders)), gallery)
        )
        return opened[-1][0]

    yield open_app
    for app, gallery in opened:
        app.close()
        gallery.close()


@pytest.fixture(scope="session")
def site(start_site, tmp_path_factory):
    """A server of an empty gallery, for tests that change nothing."""
    return start_site("--gallery", tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def crowded(start_site, _gallery_of_portraits, tmp_path_factory):
    """A server of a gallery of the two and 130 people without a face; tests change nothing."""
    path = tmp_path_factory.mktemp("crowded") / "gallery.db"
    shutil.copy(_gallery_of_portraits, path)
    with closing(Gallery(path)) as gallery, gallery._store.transaction():
        for number in range(130):
            gallery._store.add_person(f"Person {number:03}")
    return start_site("--gallery", path)


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium; no browser is ever downloaded."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open a site in a page of its own; after the test its console has to be without an error.

    But for refusals that the test says it provoked, in `open_page.refusals`: a browser notes every
    answer that is none.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    troubles = []

    def open_page(site):
        page = context.new_page()
        page.on(
            "console",
            lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(site.address)
        page.get_by_role("heading", name="Who is in this photo?").wait_for()
        page.wait_for_load_state("load")  # modules have run then
        return page

    open_page.refusals = []
    yield open_page
    context.close()
    for status in open_page.refusals:
        assert f"the server responded with a status of {status} " in troubles.pop(0)
    assert troubles == []


def enroll_made_up(gallery, folder, name, own, k):
    """Enroll a made-up face of the person `own`, a direction (128,), on a photo of its own."""
    rng = np.random.default_rng([len(name), *name.encode(), k])
    noise = rng.normal(size=len(own))
    template = own / np.linalg.norm(own) + 0.4 * noise / np.linalg.norm(noise)
    photo = folder / f"{name} {k}.png"
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(photo)
    face = FaceRow((4.0, 4.0, 36.0, 36.0), np.zeros((5, 2), np.float32), 0.9, 50.0)
    content_hash = hashlib.sha256(photo.read_bytes()).hexdigest()
    store = gallery._store
    person = store.person_id(name) or store.add_person(name)
    store.insert_face(
        store.journal(),
        person,
        (content_hash, str(photo), 40, 40),
        face,
        (template / np.linalg.norm(template)).astype(np.float32),
        gallery.model.fingerprint,
        "human",
    )


@pytest.fixture(scope="session")
def _gallery_of_twins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twins")
    rng = np.random.default_rng(0)
    with closing(Gallery(folder / "gallery.db")) as gallery, gallery._store.transaction():
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
    """A gallery file of its own for each test, of made-up faces.

    Ada (2 faces) is Annie (3), Bea (2) is Beatrix (3), Zoe is two people (3 and 2 faces).
    """
    return Path(shutil.copy(_gallery_of_twins, tmp_path / "twins.db"))
