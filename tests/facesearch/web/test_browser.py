"""The page in a real browser, by keyboard where a keyboard does: few ways, each to its end."""

import base64
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from facesearch import Gallery

PAGES = (  # at which axe-core looks: one line a page
    "/",
    "/people",
    "/people?search=nobody",
    "/people/1",
    "/people/999",  # who is not there
    "/groups",
    "/review",
    "/duplicates",
    "/verify",
    "/model",
    "/model/map",
    "/training",
)
DROP = """([name, data]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const held = new DataTransfer();
    held.items.add(new File([bytes], name));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: held, bubbles: true }));
}"""


def drop(page, photo):
    page.evaluate(DROP, [photo.name, base64.b64encode(photo.read_bytes()).decode()])


def said(page, sentence):
    page.locator("#said", has_text=sentence).wait_for()


def name_of_face(page, name):
    page.locator(".faces button", has_text=name).wait_for()


def test_from_an_empty_gallery_to_a_name_its_correction_and_back(
    serve_here, open_page, tmp_path, portraits
):
    open_page.refusals += [404, 422]  # a name that nobody bears, a file that is no picture
    page = open_page(serve_here(tmp_path / "home.db"))
    page.get_by_text("The gallery is empty").wait_for()
    drop(page, portraits.eileen)
    name_of_face(page, "unknown")

    page.locator(".faces button").press("Enter")
    page.get_by_label("Name").fill("Eilen")
    page.get_by_label("Name").press("Enter")  # "This is them" is what Enter means
    page.get_by_role("alert").get_by_text("nobody called Eilen").wait_for()
    page.get_by_role("button", name="Enroll a new name").press("Enter")
    said(page, "Said that a face is Eilen.")
    name_of_face(page, "Eilen")
    assert page.evaluate("document.activeElement.dataset.face") == "1"

    page.keyboard.press("Enter")  # the focus is on the face: correct it
    page.get_by_label("Name").fill("Eileen Collins")
    page.get_by_role("button", name="Enroll a new name").click()
    said(page, "Said that a face is Eileen Collins and not Eilen.")
    name_of_face(page, "Eileen Collins")

    page.get_by_role("button", name="Undo").press("Enter")
    said(page, "Undid")
    name_of_face(page, "Eilen")

    page.locator("svg rect").click()
    page.get_by_role("button", name="This is not Eilen").first.click()
    said(page, "Said that a face is not Eilen and took it out.")
    name_of_face(page, "unknown")
    page.get_by_role("button", name="Undo").click()
    name_of_face(page, "Eilen")

    page.locator(".faces button").press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    drop(page, Path(__file__))
    page.get_by_text("cannot read test_browser.py").wait_for()


def test_a_person_is_renamed_merged_parted_and_forgotten(serve_here, open_page, enrolled_gallery):
    open_page.refusals += [409]  # another name than hers who is to be forgotten
    page = open_page(serve_here(enrolled_gallery), "/people")
    page.get_by_role("link", name="Grace Hopper").click()
    page.locator(".actions button:enabled", has_text="Rename").wait_for()

    page.get_by_label("Another name").fill("Amazing Grace")
    page.get_by_label("Another name").press("Enter")
    said(page, "Renamed Grace Hopper to Amazing Grace.")
    page.get_by_role("heading", name="Amazing Grace").wait_for()
    page.locator(".history").get_by_role("button", name="Undo: renamed").click()
    said(page, "Undid")
    page.get_by_role("heading", name="Grace Hopper").wait_for()

    page.get_by_label("The same person as").press_sequentially("eil")
    page.locator("#names option[value='Eileen Collins']").wait_for(state="attached")
    page.get_by_label("The same person as").fill("Eileen Collins")
    page.get_by_role("button", name="Merge into them").click()
    said(page, "Merged Grace Hopper into Eileen Collins")
    page.get_by_text("2 enrolled faces").wait_for()
    page.locator("#undo").click()
    page.get_by_text("1 enrolled face").wait_for()

    page.get_by_text("Forget Eileen Collins").click()
    page.get_by_label("Type the name to be sure").fill("Grace Hopper")
    page.get_by_role("button", name="Forget for good").click()
    said(page, "nothing was deleted")
    page.get_by_label("Type the name to be sure").fill("Eileen Collins")
    page.get_by_role("button", name="Forget for good").click()
    page.get_by_role("heading", name="Forgot Eileen Collins. Deleted: ").wait_for()
    assert page.locator("#said").is_hidden()  # else it says that nothing was
    page.get_by_role("link", name="All people").click()
    page.get_by_text("1 person").wait_for()


def test_people_come_as_one_scrolls_and_are_found_as_one_types(crowded, open_page):
    page = open_page(crowded, "/people")
    tiles = page.locator("a.tile")
    tiles.nth(59).wait_for()
    while tiles.count() < 132:
        page.mouse.wheel(0, 2000)
        page.wait_for_timeout(100)
    assert len(set(tiles.all_inner_texts())) == 132
    assert page.get_by_role("button", name="More people").count() == 0

    page.get_by_label("Search by name").fill("PERSON 12")
    page.get_by_text("10 people").wait_for()
    assert tiles.count() == 10
    page.reload()
    tiles.nth(9).wait_for()
    assert page.get_by_label("Search by name").input_value() == "PERSON 12"


def test_no_page_is_wider_than_a_narrow_window(crowded, open_page, portraits):
    page = open_page(crowded, "/")
    page.set_viewport_size({"width": 390, "height": 844})
    drop(page, portraits.grace)
    name_of_face(page, "Grace Hopper")
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 390
    page.get_by_role("link", name="People").click()
    page.locator("a.tile").nth(59).wait_for()
    assert page.evaluate(width) == 390
    page.get_by_role("link", name="Eileen Collins").click()
    page.get_by_role("heading", name="Eileen Collins").wait_for()
    assert page.evaluate(width) == 390


def test_a_group_is_named_by_one_key_and_the_next_has_the_focus(
    serve_here, open_page, tmp_path, portraits
):
    for name, portrait in zip("ab", portraits, strict=True):
        photo = Image.open(portrait)
        photo.resize((400, 400 * photo.height // photo.width)).save(tmp_path / f"{name}.png")
        photo.save(tmp_path / f"{name}.jpg")
    photos = [photo for photo in tmp_path.iterdir() if photo.is_file()]
    page = open_page(serve_here(tmp_path / "home.db", photos=photos), "/groups")
    fields = page.get_by_label("Who is it?")
    fields.nth(1).wait_for()
    page.wait_for_load_state("load")
    fields.first.fill("One of them")
    fields.first.press("Enter")
    said(page, "Said that 2 faces are One of them.")
    page.keyboard.type("The other")
    page.keyboard.press("Enter")
    said(page, "Said that 2 faces are The other.")
    assert fields.count() == 0
    page.get_by_role("button", name="Undo").click()
    said(page, "Undid")
    fields.first.wait_for()


def test_two_pages_at_once_show_what_the_other_decided_and_say_who_is_gone(
    serve_here, open_page, enrolled_gallery, portraits
):
    open_page.refusals += [404, 404]
    site = serve_here(enrolled_gallery)
    here, there = open_page(site, "/people"), open_page(site, "/people")
    for page in (here, there):
        page.get_by_role("link", name="Grace Hopper").click()
        page.locator(".actions button:enabled", has_text="Rename").wait_for()
    here.get_by_label("Another name").fill("Amazing Grace")
    here.get_by_label("Another name").press("Enter")
    said(here, "Renamed Grace Hopper to Amazing Grace.")
    there.reload()
    there.get_by_role("heading", name="Amazing Grace").wait_for()
    there.locator(".actions button:enabled", has_text="Rename").wait_for()

    here.get_by_role("link", name="Identify").click()
    here.wait_for_load_state("load")
    drop(here, portraits.grace)
    name_of_face(here, "Amazing Grace")
    here.locator(".faces button").click()
    here.get_by_role("dialog").wait_for()
    here.locator("#panel .candidates img").evaluate("image => image.decode()")
    there.get_by_text("Forget Amazing Grace").click()
    there.get_by_label("Type the name to be sure").fill("Amazing Grace")
    there.get_by_role("button", name="Forget for good").click()
    there.get_by_role("heading", name="Forgot Amazing Grace.").wait_for()
    here.get_by_role("button", name="This is Amazing Grace").click()
    here.get_by_role("alert").get_by_text("This photo is not held any more").wait_for()

    there.reload()
    there.get_by_text("This person is not in the gallery any more.").wait_for()
    there.get_by_role("link", name="To the start").press("Enter")
    there.get_by_text("The gallery knows 1 person.").wait_for()


def faults(page, scheme):
    """Return what axe-core finds serious on the page in a colour scheme; light is asked first."""
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    options = {"resultTypes": ["violations"]}
    if scheme == "dark":  # all else is as it was in light, and axe-core in the page already
        axe, options["runOnly"] = Axe("null"), ["color-contrast"]
    else:
        axe = Axe()
    found = axe.run(page, options=options).response["violations"]
    return [
        (page.url, scheme, fault["id"], fault["nodes"][0]["html"])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


def test_axe_finds_no_serious_fault_on_any_page_in_light_and_dark(
    serve_here, open_page, enrolled_gallery, album
):
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    open_page.refusals += [404, 404]  # nobody there, a name that nobody bears
    with closing(Gallery(enrolled_gallery)) as gallery:
        gallery.forget("Grace Hopper")  # her photos are a group then
    site = serve_here(enrolled_gallery, photos=album.iterdir(), folders=[album])
    page, found = open_page(site, "/"), []
    for address in PAGES:
        page.goto(f"http://{site.host}{address}")
        if address == "/groups":
            page.get_by_label("Who is it?").first.wait_for()
        found += [*faults(page, "light"), *faults(page, "dark")]

    page.get_by_role("link", name="Identify").click()
    page.wait_for_load_state("load")
    drop(page, album / "eileen.png")
    page.locator(".faces button").click()
    page.get_by_role("button", name="This is Eileen Collins").click()
    said(page, "Said that a face is Eileen Collins.")
    found += [*faults(page, "light"), *faults(page, "dark")]  # with a card, and what was said
    page.locator(".faces button").click()
    page.get_by_label("Name").fill("Nobody")
    page.get_by_label("Name").press("Enter")
    page.get_by_role("alert").wait_for()
    found += [*faults(page, "light"), *faults(page, "dark")]  # with the panel, and a refusal
    assert found == []
