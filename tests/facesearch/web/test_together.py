"""Pages, servers and the command line on the same gallery at the same time."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_people import names_in, page_of, text


@pytest.fixture
def two_sites(start_site, open_app, enrolled_gallery):
    """Two pages of the same gallery: a server, and an application in this process."""
    return start_site("--gallery", enrolled_gallery), open_app(enrolled_gallery)


def started(*arguments):
    """Start a command; return its process."""
    return subprocess.Popen(
        [sys.executable, "-m", "facesearch_cli", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def dropped(site, photo):
    """Drop a photo; return its address and its card."""
    status, _, card = site.ask("POST", f"/photos?name={photo.name}", photo.read_bytes())
    assert status == 201
    return re.search(r'data-address="([^"]+)"', card.decode())[1], card.decode()


def test_one_server_shows_and_undoes_what_another_decided(two_sites, portraits):
    here, there = two_sites
    address, card = dropped(there, portraits.grace)
    assert "Grace Hopper" in card
    page, other = page_of(here, "grace"), page_of(here, "eileen")
    renamed = here.tell(f"{page}/rename", name="Amazing Grace")[1]
    assert "<h1>Amazing Grace</h1>" in text(there, page)
    assert names_in(text(there, "/people")) == ["Amazing Grace", "Eileen Collins"]
    assert "Amazing Grace" in text(there, address)
    for by_the_old_name in (f"{address}/faces/1/is", f"{address}/faces/1/is-not", f"{other}/merge"):
        status, answer = there.tell(by_the_old_name, name="Grace Hopper")
        assert status == 404
        assert answer["error"].startswith("nobody called Grace Hopper is enrolled")

    assert there.tell("/undo", number=renamed["undo"])[0] == 200
    assert "<h1>Grace Hopper</h1>" in text(here, page)
    status, answer = here.tell("/undo", number=renamed["undo"])
    assert (status, "is undone already" in answer["error"]) == (409, True)


def test_a_person_forgotten_elsewhere_is_reported_as_gone(two_sites, portraits):
    here, there = two_sites
    address, _ = dropped(there, portraits.eileen)
    page, other = page_of(there, "grace"), page_of(there, "eileen")
    (picture,) = re.findall(r'src="(/faces/\d+/picture)"', text(there, page))
    renamed = there.tell(f"{page}/rename", name="Amazing Grace")[1]
    assert there.ask("GET", picture)[1]["content-type"] == "image/jpeg"
    assert here.tell(f"{page}/forget", name="Amazing Grace")[0] == 200

    gone = "This person is no longer in the gallery."
    assert gone in text(there, page, 404)
    assert gone in text(there, f"{page}/faces?start=0", 404)
    for verb in ("rename", "merge", "forget"):
        assert there.tell(f"{page}/{verb}", name="Amazing Grace") == (404, {"error": gone})
    assert there.tell(f"{other}/merge", name="Amazing Grace")[0] == 404
    assert there.tell("/undo", number=renamed["undo"])[0] == 409
    text(there, picture, 404)
    assert names_in(text(there, "/people")) == ["Eileen Collins"]
    assert "Eileen Collins" in text(there, address)
    assert "Grace" not in text(there, f"{address}/faces/1")


def test_a_running_page_knows_people_the_command_line_enrolls(
    open_app, enrolled_gallery, tmp_path, portraits
):
    site = open_app(enrolled_gallery)
    page = page_of(site, "grace")
    assert site.tell(f"{page}/forget", name="Grace Hopper")[0] == 200
    address, card = dropped(site, portraits.grace)
    assert "Grace" not in card
    folder = tmp_path / "album" / "Grace Murray"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(portraits.grace.read_bytes())
    enrolling = started("enroll", folder.parent, "--gallery", enrolled_gallery)
    n_asked = 0
    while enrolling.poll() is None:
        names_in(text(site, "/people"))
        text(site, address)
        n_asked += 1
    assert enrolling.returncode == 0
    assert n_asked > 1
    assert names_in(text(site, "/people")) == ["Eileen Collins", "Grace Murray"]
    assert "Grace Murray" in text(site, address)


def test_the_page_drops_its_photos_when_the_command_line_forgets_a_person(
    start_site, enrolled_gallery, tmp_path, portraits, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    site = start_site("--gallery", enrolled_gallery)
    address, _ = dropped(site, portraits.grace)
    (held,) = tmp_path.glob("facesearch-page-*/photos/*")
    forgetting = started("people", "forget", "Grace Hopper", "--yes", "--gallery", enrolled_gallery)
    assert forgetting.wait() == 0
    while held.exists():  # the page looks every few seconds
        time.sleep(0.1)
    assert "drop it again" in text(site, address, 404)
    assert dropped(site, portraits.eileen)[0]  # and it keeps working


def test_a_hundred_requests_at_once_are_all_answered(crowded, portraits):
    address, _ = dropped(crowded, portraits.grace)
    page = page_of(crowded, "eileen")
    (picture,) = re.findall(r'src="(/faces/\d+/picture)"', text(crowded, page))
    paths = [
        *("/", "/people", "/people?search=person", "/people/rows?start=60", page),
        *("/names?typed=e", "/static/style.css", picture, address, f"{address}/faces/1"),
    ]
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda path: crowded.ask("GET", path), paths * 10))
    assert [status for status, _, _ in answers] == [200] * 100
    for path, (_, _, body) in zip(paths * 10, answers, strict=True):
        assert body == crowded.ask("GET", path)[2]
