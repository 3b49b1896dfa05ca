"""The page for dropped photos in a real browser: folders, files that are gone, coming back."""

import shutil

import pytest
from browser_steps import drop, expect, follow, held, said

CARD = "#photos article"


@pytest.fixture
def page(serve_here, open_page, tmp_path):
    page = open_page(serve_here(tmp_path / "home.db"))
    expect(page.locator("#drop")).to_be_visible()
    return page


def drop_file(page, path):
    """Drop a file or folder of the disk, as a file manager does."""
    browser = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 200, "data": data})


def test_a_dropped_folder_is_walked_and_what_is_no_photo_is_counted(page, tmp_path, portraits):
    inner = tmp_path / "Barack" / "2024"
    inner.mkdir(parents=True)
    shutil.copy(portraits.grace, inner / "grace.png")
    shutil.copy(portraits.eileen, inner.parent / "eileen.png")
    (inner.parent / "notes.txt").write_text("no photo")
    drop_file(page, tmp_path / "Barack")
    expect(page.locator(CARD)).to_have_count(2)
    expect(page.locator("#waiting")).to_have_text(
        "Barack: 1 of 3 files are not photos and were left out."
    )
    expect(page.locator("#said")).to_be_hidden()


def test_a_dropped_folder_without_photos_is_told(page, tmp_path):
    (tmp_path / "empty").mkdir()
    drop_file(page, tmp_path / "empty")
    expect(page.locator("#waiting")).to_have_text("empty: there is no photo in this folder.")


def test_a_photo_deleted_after_it_was_chosen_is_not_called_a_server_that_is_gone(
    page, open_page, tmp_path, portraits
):
    open_page.refusals.append("ERR_FILE_NOT_FOUND")
    with held(page, "**/photos?*"):
        for name in ("one", "two", "gone"):  # two are sent at once, the third waits
            shutil.copy(portraits.grace, tmp_path / f"{name}.png")
            drop_file(page, tmp_path / f"{name}.png")
        expect(page.locator("#waiting li")).to_have_count(3)
        (tmp_path / "gone.png").unlink()
    expect(page.locator("#waiting")).to_contain_text(
        "gone.png could not be sent. If it was changed"
    )
    expect(page.locator(CARD)).to_have_count(2)
    expect(page.locator("#said")).to_be_hidden()


def test_coming_back_keeps_the_cards(page, portraits):
    drop(page, portraits.grace)
    expect(page.locator(CARD)).to_have_count(1)
    follow(page, "People", "People")
    page.go_back()
    expect(page.locator(CARD)).to_have_count(1)
    follow(page, "People", "People")
    follow(page, "Identify", "Who is in this photo?")
    expect(page.locator(CARD)).to_have_count(1)


def test_the_server_is_called_gone_only_when_it_is(page, open_page, portraits):
    open_page.refusals += ["ERR_FAILED"] * 3
    drop(page, portraits.grace)
    expect(page.locator(CARD)).to_have_count(1)
    page.route("**/photos/*/faces/1", lambda route: route.abort())
    page.locator(f"{CARD} button[data-face]").first.click()
    said(page, "The browser lost the connection. Try again.")
    page.route("**/*", lambda route: route.abort())
    page.locator(f"{CARD} button[data-face]").first.click()
    said(page, "The server does not answer.")
