"""Duplicates in a real browser; every key of the page is pressed."""

import shutil

import pytest
from browser_steps import expect, fits, said
from PIL import Image

from facesearch import Gallery


@pytest.fixture(scope="module")
def served(serve_here, _gallery_of_twins, tmp_path_factory):
    """A server of the gallery of twins, and its file; every test undoes what it does."""
    path = tmp_path_factory.mktemp("served") / "gallery.db"
    shutil.copy(_gallery_of_twins, path)
    return serve_here(path), path


@pytest.fixture
def twins(served, open_page):
    """A page whose search for duplicates is done."""
    page = open_page(served[0], "/duplicates")
    names(page)
    return page


def names(page):
    """Return the names on the card once it is shown."""
    page.locator("[data-card] h2:focus").wait_for()
    return page.locator(".side h3").all_inner_texts()


def shows(page, names):
    """Wait until the card with these names is shown."""
    expect(page.locator(".side h3")).to_have_text(names)
    expect(page.locator("[data-card] h2")).to_be_focused()


def test_two_names_are_decided_by_keys_alone_and_each_decision_is_undone(twins):
    first = names(twins)
    keep = twins.get_by_role("radio")
    expect(keep.nth(1)).to_be_checked()  # the side with more faces
    twins.keyboard.press("1")
    expect(keep.nth(0)).to_be_checked()
    twins.keyboard.press("2")
    expect(keep.nth(1)).to_be_checked()
    twins.keyboard.press("1")
    for key in ("Control+y", "Alt+n", "Meta+y"):  # the browser's, not ours
        twins.keyboard.press(key)
    shows(twins, first)

    twins.keyboard.press("y")
    said(twins, f"Merged {first[1]} into {first[0]}")
    second = names(twins)
    assert not {*second} & {*first}
    twins.keyboard.press("n")
    said(twins, f"Said that {second[0]} and {second[1]} are two people.")
    twins.get_by_role("heading", name="All are decided.").wait_for()
    twins.keyboard.press("u")
    said(twins, "Undid")
    shows(twins, second)
    twins.keyboard.press("u")
    said(twins, "merged")
    shows(twins, first)
    twins.keyboard.press("u")
    said(twins, "There is nothing to undo on this page.")

    twins.keyboard.press("s")
    shows(twins, second)
    twins.keyboard.press("S")  # also with the shift key
    twins.get_by_role("button", name="Start over").press("Enter")
    shows(twins, first)


def test_a_key_shows_the_keys_and_none_decides_behind_them(twins):
    first = names(twins)
    twins.keyboard.press("?")
    twins.get_by_role("dialog", name="Keys").wait_for()
    twins.keyboard.press("y")
    twins.keyboard.press("Escape")
    twins.get_by_role("dialog").wait_for(state="hidden")
    expect(twins.locator(".side h3")).to_have_text(first)
    twins.get_by_role("button", name="Keys").click()
    twins.get_by_role("button", name="Close").press("Enter")
    twins.get_by_role("dialog").wait_for(state="hidden")


def test_one_name_is_split_by_keys_which_are_letters_within_the_field(twins):
    twins.get_by_role("link", name="One name, two people").click()
    shows(twins, ["Zoe", "Zoe"])
    twins.keyboard.press("n")
    field = twins.get_by_label("Who are the others?")
    expect(field).to_be_focused()
    twins.keyboard.type("Sunny 12")
    expect(field).to_have_value("Sunny 12")
    twins.keyboard.press("Enter")
    said(twins, "Split 2 faces off Zoe as Sunny 12.")
    twins.locator("#undo").click()
    said(twins, "Undid")
    shows(twins, ["Zoe", "Zoe"])
    twins.keyboard.press("y")
    said(twins, "Said that a face is Zoe")
    twins.get_by_role("heading", name="All are decided.").wait_for()
    twins.locator("#stack").get_by_role("button", name="Undo").press("Enter")
    shows(twins, ["Zoe", "Zoe"])


def test_a_card_that_changed_since_it_was_shown_is_shown_again(twins, open_page, served):
    open_page.refusals += [409]
    first = names(twins)
    with Gallery(served[1]) as gallery:  # as the command line would
        gallery.people.rename(first[0], "Somebody")
        twins.keyboard.press("y")
        said(twins, "this has changed")
        twins.locator(".side h3", has_text="Somebody").wait_for()
        twins.keyboard.press("y")
        said(twins, "Merged Somebody into")
        twins.keyboard.press("u")
        said(twins, "Undid")
        gallery.people.rename("Somebody", first[0])


def test_photos_are_moved_and_moved_back_by_keys(serve_here, open_page, portraits, tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    eileen = Image.open(portraits.eileen).convert("RGB")
    eileen.save(album / "view.png")
    eileen.resize((300, 300)).save(album / "view small.png")
    shutil.copy(portraits.grace, album / "grace.jpg")
    shutil.copy(portraits.grace, album / "again.jpg")
    page = open_page(serve_here(tmp_path / "home.db", folders=[album]), "/duplicates")
    page.get_by_role("link", name="Photos").click()
    page.locator("[data-card] h2:focus").wait_for()
    page.locator(".side", has_text="again.jpg").wait_for()
    frames = [
        page.locator(".side").nth(place).evaluate("(side) => getComputedStyle(side).borderColor")
        for place in (0, 1)
    ]
    assert frames[0] != frames[1]  # the photo to keep stands out
    page.keyboard.press("y")
    said(page, "Moved 1 photo to")
    page.locator(".side", has_text="view small.png").wait_for()
    page.get_by_role("checkbox").press("Space")
    page.keyboard.press("y")
    open_page.refusals += [400]
    said(page, "Select some photos first.")
    page.keyboard.press("n")
    said(page, "not one picture")
    page.get_by_role("heading", name="All are decided.").wait_for()
    page.keyboard.press("u")
    said(page, "Undid")
    page.keyboard.press("u")
    said(page, "Moved 1 photo back")
    assert len([path for path in album.iterdir() if path.is_file()]) == 4

    page.reload()
    page.locator("[data-card] h2:focus").wait_for()
    page.get_by_text("Move all 2 sure duplicates").press("Enter")
    page.get_by_role("button", name="Move to trash").press("Enter")
    said(page, "Moved 2 photos to")
    assert len([path for path in album.iterdir() if path.is_file()]) == 2
    page.reload()
    page.get_by_role("button", name="Undo the last move").click()
    said(page, "Moved 2 photos back")


def test_a_persons_wrong_faces_are_moved_and_similar_people_are_merged(served, open_page):
    page = open_page(served[0], "/people")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    open_page.refusals += [409] * 3  # an undo that concerns two people, until the user agrees
    page.get_by_role("link", name="Zoe").click()
    boxes = page.get_by_role("checkbox")
    move = page.get_by_role("button", name="Move", exact=True)
    boxes.nth(3).wait_for()
    expect(move).to_be_disabled()
    boxes.nth(3).press("Space")
    boxes.nth(4).press("Space")
    page.get_by_text("2 selected.").wait_for()
    page.get_by_label("Move selected faces to").fill("Yael")
    page.get_by_label("Move selected faces to").press("Enter")
    said(page, "Split 2 faces off Zoe as Yael.")
    page.get_by_text("3 enrolled faces").wait_for()
    page.locator("#undo").click()
    page.get_by_text("5 enrolled faces").wait_for()
    boxes.nth(0).press("Space")
    page.get_by_role("button", name="Not Zoe").press("Enter")
    said(page, "Said that a face is not Zoe and took it out.")
    page.locator("#undo").click()
    page.get_by_text("5 enrolled faces").wait_for()

    page.get_by_role("link", name="All people").click()
    page.get_by_role("link", name="Ada").click()
    page.get_by_role("button", name="Not the same: Annie").press("Enter")
    said(page, "Said that Ada and Annie are two people.")
    page.get_by_text("Not the same: you said").wait_for()
    page.locator("#undo").click()
    page.get_by_role("button", name="Same: merge into Ada, Annie").press("Enter")
    said(page, "Merged Annie into Ada (3 faces)")
    page.get_by_text("5 enrolled faces").wait_for()
    page.locator("#undo").click()
    page.get_by_text("2 enrolled faces").wait_for()
    assert asked == ["This undo is about 2 people, not only one. Undo it?"] * 3


def test_no_page_of_twins_is_wider_than_a_narrow_window(twins):
    twins.set_viewport_size({"width": 390, "height": 844})
    for kind in ("One person, two names", "One name, two people", "Faces"):
        twins.get_by_role("link", name=kind).click()
        twins.locator(".twice h2:focus").wait_for()
        fits(twins)
    twins.get_by_role("link", name="People", exact=True).click()
    twins.get_by_role("link", name="Ada").click()
    twins.locator(".alike").wait_for()
    fits(twins)
