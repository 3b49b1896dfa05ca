"""The groups page in a real browser: no name lands on another group, however slow the server."""

from contextlib import closing
from pathlib import Path

import pytest
from browser_steps import expect, held, said
from PIL import Image

from facesearch import Gallery

FIELD = "[data-group] input:visible"


@pytest.fixture
def groups(serve_here, open_page, tmp_path, portraits):
    """Open the groups page: two people, each in two photos."""
    for name, portrait in zip("ab", portraits, strict=True):
        photo = Image.open(portrait)
        photo.resize((400, 400 * photo.height // photo.width)).save(tmp_path / f"{name}.png")
        photo.save(tmp_path / f"{name}.jpg")
    photos = [photo for photo in tmp_path.iterdir() if photo.is_file()]
    page = open_page(serve_here(tmp_path / "home.db", photos=photos), "/groups")
    expect(page.locator(FIELD)).to_have_count(2)
    return page


def letters_of(tmp_path, name):
    """Return the first letters of the photos of a person."""
    with closing(Gallery(tmp_path / "home.db")) as gallery:
        return {Path(photo).name[0] for photo, _ in gallery.people.faces_of(name)}


def n_people(tmp_path):
    with closing(Gallery(tmp_path / "home.db")) as gallery:
        return gallery.people.count()


def test_names_typed_ahead_of_a_slow_server_land_on_their_own_groups(groups, tmp_path):
    first = groups.locator("[data-group] img").first.get_attribute("src")
    groups.locator(FIELD).first.focus()
    with held(groups, "**/name"):
        for name in ("One", "Other"):
            groups.keyboard.type(name)
            groups.keyboard.press("Enter")
            groups.keyboard.press("Enter")  # pressed twice
        expect(groups.locator(FIELD)).to_have_count(0)
        assert n_people(tmp_path) == 0
    said(groups, "Said that 2 faces are Other.")
    one, other = letters_of(tmp_path, "One"), letters_of(tmp_path, "Other")
    assert len(one) == len(other) == 1
    assert one != other
    groups.get_by_role("button", name="Undo").click()
    said(groups, "Undid")
    expect(groups.locator(FIELD)).to_have_count(1)
    assert groups.locator("[data-group] img:visible").first.get_attribute("src") != first
    assert n_people(tmp_path) == 1
    assert letters_of(tmp_path, "One") == one


def test_a_refused_name_comes_back_to_its_group_and_leaves_the_focus(groups, open_page, tmp_path):
    open_page.refusals.append(409)
    field = groups.locator(FIELD).first
    with held(groups, "**/name"):
        field.fill("One")
        (tmp_path / "a.png").write_bytes(b"another file")
        (tmp_path / "a.jpg").write_bytes(b"another file")
        (tmp_path / "b.png").write_bytes(b"another file")
        (tmp_path / "b.jpg").write_bytes(b"another file")
        field.press("Enter")
        groups.keyboard.type("Half ty")
    expect(groups.locator("[data-group] .trouble")).to_contain_text("none of the photos")
    groups.keyboard.type("ped")
    assert [one.input_value() for one in groups.locator(FIELD).all()] == ["One", "Half typed"]
