"""What is there twice, in a real browser: every key of the page is pressed."""

import shutil

import pytest
from PIL import Image
from test_browser import said

from facesearch import Gallery


@pytest.fixture(scope="module")
def served(serve_here, _gallery_of_twins, tmp_path_factory):
    """A server of the gallery of twins, and its file; every test takes back what it does."""
    path = tmp_path_factory.mktemp("served") / "gallery.db"
    shutil.copy(_gallery_of_twins, path)
    return serve_here(path), path


@pytest.fixture
def twins(served, open_page):
    """A page on which it was looked for who is there twice."""
    page = open_page(served[0], "/duplicates")
    names(page)
    return page


def names(page):
    """Return the names on the card that is shown."""
    page.locator("[data-card] h2:focus").wait_for()
    return page.locator(".side h3").all_inner_texts()


def test_two_names_by_keys_alone_and_each_answer_is_taken_back(twins):
    first = names(twins)
    keep = twins.get_by_role("radio")
    assert keep.nth(1).is_checked()  # who has more faces
    twins.keyboard.press("1")
    assert keep.nth(0).is_checked()
    twins.keyboard.press("2")
    assert keep.nth(1).is_checked()
    twins.keyboard.press("1")
    for key in ("Control+y", "Alt+n", "Meta+y"):  # the browser's, not ours
        twins.keyboard.press(key)
    assert names(twins) == first

    twins.keyboard.press("y")
    said(twins, f"Merged {first[1]} into {first[0]}")
    second = names(twins)
    assert not {*second} & {*first}
    twins.keyboard.press("n")
    said(twins, f"Said that {second[0]} and {second[1]} are two people.")
    twins.get_by_role("heading", name="All are decided.").wait_for()
    twins.keyboard.press("u")
    said(twins, "Undid")
    assert names(twins) == second
    twins.keyboard.press("u")
    said(twins, "merged")
    assert names(twins) == first
    twins.keyboard.press("u")
    said(twins, "Nothing was decided on this page yet.")

    twins.keyboard.press("s")
    twins.locator(".side h3", has_text=second[0]).first.wait_for()
    assert names(twins) == second
    twins.keyboard.press("S")  # with the shift key, too
    twins.get_by_role("button", name="From the beginning").press("Enter")
    assert names(twins) == first


def test_the_keys_are_shown_by_a_key_and_none_fires_behind_them(twins):
    first = names(twins)
    twins.keyboard.press("?")
    twins.get_by_role("dialog", name="Keys").wait_for()
    twins.keyboard.press("y")
    twins.keyboard.press("Escape")
    twins.get_by_role("dialog").wait_for(state="hidden")
    assert twins.locator(".side h3").all_inner_texts() == first
    twins.get_by_role("button", name="Keys").click()
    twins.get_by_role("button", name="Close").press("Enter")
    twins.get_by_role("dialog").wait_for(state="hidden")


def test_one_name_is_split_by_keys_that_become_letters_while_one_types(twins):
    twins.get_by_role("link", name="One name, two people").click()
    assert names(twins) == ["Zoe", "Zoe"]
    twins.keyboard.press("n")
    field = twins.get_by_label("Who are the others?")
    assert field.evaluate("(field) => field === document.activeElement")
    twins.keyboard.type("Sunny 12")
    assert field.input_value() == "Sunny 12"
    twins.keyboard.press("Enter")
    said(twins, "Split 2 faces off Zoe as Sunny 12.")
    twins.locator("#undo").click()
    said(twins, "Undid")
    assert names(twins) == ["Zoe", "Zoe"]
    twins.keyboard.press("y")
    said(twins, "Said that a face is Zoe")
    twins.get_by_role("heading", name="All are decided.").wait_for()
    twins.locator("#stack").get_by_role("button", name="Undo").press("Enter")
    assert names(twins) == ["Zoe", "Zoe"]


def test_what_changed_since_it_was_shown_is_told_and_shown_anew(twins, open_page, served):
    open_page.refusals += [409]
    first = names(twins)
    with Gallery(served[1]) as gallery:  # as the command line would
        gallery.people.rename(first[0], "Somebody")
        twins.keyboard.press("y")
        said(twins, "changed meanwhile")
        twins.locator(".side h3", has_text="Somebody").wait_for()
        twins.keyboard.press("y")
        said(twins, "Merged Somebody into")
        twins.keyboard.press("u")
        said(twins, "Undid")
        gallery.people.rename("Somebody", first[0])


def test_photos_go_and_come_back_by_keys(serve_here, open_page, portraits, tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    eileen = Image.open(portraits.eileen).convert("RGB")
    eileen.save(album / "view.png")
    eileen.resize((300, 300)).save(album / "view small.png")
    shutil.copy(portraits.grace, album / "grace.jpg")
    shutil.copy(portraits.grace, album / "again.jpg")
    page = open_page(serve_here(tmp_path / "home.db", folders=[album]), "/duplicates")
    page.get_by_role("link", name="A photo twice").click()
    page.locator("[data-card] h2:focus").wait_for()
    page.locator(".side", has_text="again.jpg").wait_for()
    frames = [
        page.locator(".side").nth(place).evaluate("(side) => getComputedStyle(side).borderColor")
        for place in (0, 1)
    ]
    assert frames[0] != frames[1]  # that which stays stands out
    page.keyboard.press("y")
    said(page, "Moved 1 photo to")
    page.locator(".side", has_text="view small.png").wait_for()
    page.get_by_role("checkbox").press("Space")
    page.keyboard.press("y")
    open_page.refusals += [400]
    said(page, "Choose some photos first.")
    page.keyboard.press("n")
    said(page, "not one picture")
    page.get_by_role("heading", name="All are decided.").wait_for()
    page.keyboard.press("u")
    said(page, "Undid")
    page.keyboard.press("u")
    said(page, "Moved 1 photo back")
    assert len(list(album.iterdir())) == 4

    page.reload()
    page.locator("[data-card] h2:focus").wait_for()
    page.get_by_text("Move all 2 sure duplicates").press("Enter")
    page.get_by_role("button", name="Move them to the trash").press("Enter")
    said(page, "Moved 2 photos to")
    assert len(list(album.iterdir())) == 2
    page.reload()
    page.get_by_role("button", name="Move back what was moved last").click()
    said(page, "Moved 2 photos back")


def test_a_person_is_cleaned_of_faces_and_compared_with_who_looks_alike(served, open_page):
    page = open_page(served[0], "/people")
    page.get_by_role("link", name="Zoe").click()
    boxes = page.get_by_role("checkbox")
    give = page.get_by_role("button", name="Give them to that person")
    boxes.nth(3).wait_for()
    assert give.is_disabled()
    boxes.nth(3).press("Space")
    boxes.nth(4).press("Space")
    page.get_by_text("2 chosen.").wait_for()
    page.get_by_label("They are").fill("Yael")
    page.get_by_label("They are").press("Enter")
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


def test_no_page_of_twins_is_wider_than_a_narrow_window(twins):
    twins.set_viewport_size({"width": 390, "height": 844})
    width = "document.documentElement.scrollWidth"
    for kind in ("One person, two names", "One name, two people", "A face twice"):
        twins.get_by_role("link", name=kind).click()
        twins.locator(".twice h2:focus").wait_for()
        assert twins.evaluate(width) == 390
    twins.get_by_role("link", name="People", exact=True).click()
    twins.get_by_role("link", name="Ada").click()
    twins.locator(".alike").wait_for()
    assert twins.evaluate(width) == 390
