"""The page in a real browser, by keyboard where possible: a few tasks, each to its end."""

from contextlib import closing
from pathlib import Path

import pytest
from browser_steps import drop, expect, fits, follow, said

from facesearch import Gallery

PAGES = (  # checked by axe-core
    "/",
    "/people",
    "/people?search=nobody",
    "/people/1",
    "/people/999",  # nobody
    "/groups",
    "/review",
    "/duplicates",
    "/verify",
    "/model",
    "/model/map",
    "/training",
)


def name_of_face(page, name):
    """Wait until a face has that name."""
    page.locator(".faces button", has_text=name).wait_for()


def rename_is_ready(page):
    """Wait until the scripts of a person's page have run."""
    expect(page.get_by_role("button", name="Rename", exact=True)).to_be_enabled()


def test_a_face_is_named_corrected_rejected_and_undone(serve_here, open_page, tmp_path, portraits):
    # a name that nobody has, an undo that concerns two people, a file that is no picture
    open_page.refusals += [404, 409, 422]
    page = open_page(serve_here(tmp_path / "home.db"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_text("The gallery is empty").wait_for()
    drop(page, portraits.eileen)
    name_of_face(page, "unknown")

    page.locator(".faces button").press("Enter")
    page.get_by_label("Name").fill("Eilen")
    page.get_by_label("Name").press("Enter")  # "This is them" is what Enter means
    page.get_by_role("alert").get_by_text("nobody called Eilen").wait_for()
    page.get_by_role("button", name="Enroll as new person").press("Enter")
    said(page, "Said that a face is Eilen.")
    name_of_face(page, "Eilen")
    expect(page.locator("button[data-face='1']")).to_be_focused()

    page.keyboard.press("Enter")  # the focus is on the face: correct it
    page.get_by_label("Name").fill("Eileen Collins")
    page.get_by_role("button", name="Enroll as new person").click()
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


def test_a_person_is_renamed_merged_and_forgotten(serve_here, open_page, enrolled_gallery):
    # an undo that concerns two people, not the name of the person to forget
    open_page.refusals += [409, 409]
    page = open_page(serve_here(enrolled_gallery), "/people")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="Grace Hopper").click()
    rename_is_ready(page)

    page.get_by_label("New name").fill("Amazing Grace")
    page.get_by_label("New name").press("Enter")
    said(page, "Renamed Grace Hopper to Amazing Grace.")
    page.get_by_role("heading", name="Amazing Grace").wait_for()
    page.locator(".history").get_by_role("button", name="Undo: renamed").click()
    said(page, "Undid")
    page.get_by_role("heading", name="Grace Hopper").wait_for()

    page.get_by_label("Same person as").press_sequentially("eil")
    page.locator("#names option[value='Eileen Collins']").wait_for(state="attached")
    page.get_by_label("Same person as").fill("Eileen Collins")
    page.get_by_role("button", name="Merge into that person").click()
    said(page, "Merged Grace Hopper into Eileen Collins")
    page.get_by_text("2 enrolled faces").wait_for()
    page.locator("#undo").click()
    page.get_by_text("1 enrolled face").wait_for()

    page.get_by_text("Forget Eileen Collins").click()
    page.get_by_label("Type the name to confirm").fill("Grace Hopper")
    page.get_by_role("button", name="Forget permanently").click()
    said(page, "nothing was deleted")
    page.get_by_label("Type the name to confirm").fill("Eileen Collins")
    page.get_by_role("button", name="Forget permanently").click()
    page.get_by_role("heading", name="Forgot Eileen Collins. Deleted: ").wait_for()
    expect(page.locator("#said")).to_be_hidden()  # it said that nothing was deleted
    page.get_by_role("link", name="All people").click()
    page.get_by_text("1 person").wait_for()


def test_people_are_added_on_scrolling_and_found_while_typing(crowded, open_page):
    page = open_page(crowded, "/people")
    tiles = page.locator("a.tile")
    for number in (59, 119, 131):  # the last one of each window
        tiles.nth(number).scroll_into_view_if_needed()
    expect(tiles).to_have_count(132)
    assert len(set(tiles.all_inner_texts())) == 132
    expect(page.get_by_role("button", name="More people")).to_have_count(0)

    page.get_by_label("Search by name").fill("PERSON 12")
    page.get_by_text("10 people").wait_for()
    expect(tiles).to_have_count(10)
    page.reload()
    expect(tiles).to_have_count(10)
    expect(page.get_by_label("Search by name")).to_have_value("PERSON 12")


def test_no_page_is_wider_than_a_narrow_window(crowded, open_page, portraits):
    page = open_page(crowded, "/")
    page.set_viewport_size({"width": 390, "height": 844})
    drop(page, portraits.grace)
    name_of_face(page, "Grace Hopper")
    fits(page)
    page.get_by_role("link", name="People").click()
    page.locator("a.tile").nth(59).wait_for()
    fits(page)
    page.get_by_role("link", name="Eileen Collins").click()
    page.get_by_role("heading", name="Eileen Collins").wait_for()
    fits(page)


def test_two_pages_show_each_others_decisions_and_say_who_is_gone(
    serve_here, open_page, enrolled_gallery, portraits
):
    open_page.refusals += [404, 404]
    site = serve_here(enrolled_gallery)
    here, there = open_page(site, "/people"), open_page(site, "/people")
    for page in (here, there):
        page.get_by_role("link", name="Grace Hopper").click()
        rename_is_ready(page)
    here.get_by_label("New name").fill("Amazing Grace")
    here.get_by_label("New name").press("Enter")
    said(here, "Renamed Grace Hopper to Amazing Grace.")
    there.reload()
    there.get_by_role("heading", name="Amazing Grace").wait_for()
    rename_is_ready(there)

    follow(here, "Identify", "Who is in this photo?")
    drop(here, portraits.grace)
    name_of_face(here, "Amazing Grace")
    here.locator(".faces button").click()
    here.get_by_role("dialog").wait_for()
    here.locator("#panel .candidates img").evaluate("image => image.decode()")
    there.get_by_text("Forget Amazing Grace").click()
    there.get_by_label("Type the name to confirm").fill("Amazing Grace")
    there.get_by_role("button", name="Forget permanently").click()
    there.get_by_role("heading", name="Forgot Amazing Grace.").wait_for()
    here.get_by_role("button", name="This is Amazing Grace").click()
    here.get_by_role("alert").get_by_text("This photo is no longer held").wait_for()

    there.reload()
    there.get_by_text("This person is no longer in the gallery.").wait_for()
    there.get_by_role("link", name="Home").press("Enter")
    there.get_by_text("The gallery has 1 person.").wait_for()


def faults(page, scheme):
    """Return what axe-core finds serious on the page in a color scheme; check light first."""
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    options = {"resultTypes": ["violations"]}
    if scheme == "dark":  # all else is as in light, and the page holds axe-core already
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
    open_page.refusals += [404, 404]  # a person and a name that nobody has
    with closing(Gallery(enrolled_gallery)) as gallery:
        gallery.forget("Grace Hopper")  # so that her photos become a group
    site = serve_here(enrolled_gallery, photos=album.iterdir(), folders=[album])
    page, found = open_page(site, "/"), []
    for address in PAGES:
        page.goto(f"http://{site.host}{address}")
        if address in ("/groups", "/duplicates"):  # which reload themselves when all is found
            page.locator("main h2").first.wait_for()
        found += [*faults(page, "light"), *faults(page, "dark")]

    follow(page, "Identify", "Who is in this photo?")
    drop(page, album / "eileen.png")
    page.locator(".faces button").click()
    page.get_by_role("button", name="This is Eileen Collins").click()
    said(page, "Said that a face is Eileen Collins.")
    found += [
        *faults(page, "light"),
        *faults(page, "dark"),
    ]  # with a card and a sentence at the foot
    page.locator(".faces button").click()
    page.get_by_label("Name").fill("Nobody")
    page.get_by_label("Name").press("Enter")
    page.get_by_role("alert").wait_for()
    found += [*faults(page, "light"), *faults(page, "dark")]  # with the panel, and a refusal
    assert found == []
