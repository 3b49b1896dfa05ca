"""Verify, map and training in a real browser."""

import json

from browser_steps import drop, expect, fits, until
from PIL import Image

from facesearch.training_log import LOG

LINE = {"seconds": 9.5, "best": 0.3, "pictures_per_s": 40.0}


def test_two_photos_are_compared_and_another_face_is_selected_by_keyboard(
    site,
    open_page,
    portraits,
    tmp_path,
):
    both = Image.new("RGB", (1000, 600), "white")
    both.paste(Image.open(portraits.grace).resize((500, 600)), (0, 0))
    both.paste(Image.open(portraits.eileen).convert("RGB").resize((256, 256)), (600, 100))
    both.save(tmp_path / "both.png")
    open_page.refusals += [422]  # a file that is no picture
    page = open_page(site, "/verify")
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("heading", name="Do two photos show the same person?").wait_for()
    drop(page, portraits.grace)  # on the first free side
    page.locator("[data-side=a]").get_by_text("grace_hopper.jpg").wait_for()
    page.locator("[data-side=a] img").wait_for()
    page.set_input_files("#file-b", tmp_path / "both.png")
    page.get_by_text("over 99.9% likely to be the same person").wait_for()
    page.get_by_text("both.png shows 2 faces; the largest was compared").wait_for()
    fits(page)

    page.get_by_role("button", name="Number 2 by size").press("Enter")
    page.get_by_text("number 2 by size was compared").wait_for()
    expect(page.locator(".pick[aria-pressed=true]").last).to_be_focused()
    page.get_by_text("The numbers").press("Enter")
    page.get_by_role("columnheader", name="same person at or above it").wait_for()

    page.set_input_files("#file-b", __file__)
    page.locator("[data-side=b]").get_by_text("it is not a picture").wait_for()
    expect(page.locator(".verified")).to_have_count(0)


def test_the_map_shows_whose_face_a_point_is_by_keyboard_and_by_name(
    serve_here,
    open_page,
    enrolled_gallery,
):
    page = open_page(serve_here(enrolled_gallery), "/model")
    page.get_by_role("link", name="Map of the gallery").press("Enter")
    page.get_by_text("Everything enrolled: 2 faces of 2 people").wait_for()
    until(page, "document.getElementById('map').width !== 300")
    page.locator("#map").press("ArrowRight")
    name = page.locator("#map-at a")
    first = name.inner_text()
    page.keyboard.press("ArrowRight")
    (other,) = {"Eileen Collins", "Grace Hopper"} - {first}
    expect(name).to_have_text(other)
    page.keyboard.press("Enter")
    page.get_by_text("1 on the map").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator("#map-theirs img")).to_have_count(0)

    page.get_by_label("Find a person").fill("grace hopper")
    page.locator("#map-theirs img[alt='Grace Hopper']").wait_for()
    page.set_viewport_size({"width": 390, "height": 844})
    fits(page)
    name.click()
    page.get_by_role("heading", name="Grace Hopper").wait_for()


def test_curves_grow_while_the_page_is_open_and_an_opened_table_stays_open(
    serve_here,
    open_page,
    tmp_path,
):
    folder = tmp_path / "glyphs-training"
    site = serve_here(tmp_path / "a.db", training=tmp_path / "glyphs")
    page = open_page(site, "/training")
    page.get_by_text("There is no training in this folder yet").wait_for()

    def evaluated(*steps):
        lines = (LINE | {"step": s, "loss": 0.5, "one_shot_validation": 0.2} for s in steps)
        folder.mkdir(exist_ok=True)
        (folder / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))

    evaluated(100, 200)
    page.get_by_role("heading", name="One-shot accuracy").wait_for()
    page.get_by_text("The numbers").first.press("Enter")
    page.get_by_role("cell", name="200").wait_for()
    evaluated(100, 200, 300)
    page.get_by_role("cell", name="300").wait_for()
    expect(page.get_by_text("The numbers").first).to_be_focused()
    page.set_viewport_size({"width": 390, "height": 844})
    fits(page)
