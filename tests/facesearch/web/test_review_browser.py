"""The review in a real browser: every documented key, and what no speed may cause."""

import time
from contextlib import closing

import pytest
from browser_steps import expect, fits, held, said, until
from PIL import Image

from facesearch import Gallery

TOO_FAST_MS = 260  # the page accepts no decision sooner after a question
CASE = "#cases article:not([hidden])"  # the case on the screen


@pytest.fixture(scope="module")
def home(tmp_path_factory, portraits):
    """A gallery that knows Eileen, and an album: Grace Hopper in two photos, Eileen in eight."""
    home = tmp_path_factory.mktemp("review") / "home.db"
    (home.parent / "album").mkdir()
    for portrait, widths in (
        (portraits.grace, (250, 300)),
        (portraits.eileen, range(220, 300, 10)),
    ):
        photo = Image.open(portrait)
        for width in widths:
            photo.resize((width, width)).save(home.parent / "album" / f"{portrait.stem}{width}.png")
    with closing(Gallery(home)) as gallery:
        list(gallery.enroll([("Eileen", portraits.eileen)]))
    return home


@pytest.fixture(scope="module")
def served(serve_here, home):
    site = serve_here(home, photos=(home.parent / "album").iterdir())
    while b'"found":false' in site.ask("GET", "/groups/progress")[2]:
        time.sleep(0.2)
    return site


@pytest.fixture
def review(served, home, open_page):
    """Open the review; all earlier decisions are undone."""
    with closing(Gallery(home)) as gallery:
        for decision in gallery.history.list():
            if decision.kind not in ("undo", "enroll") and decision.undone_by is None:
                gallery.history.undo(decision.id)

    def open_review():
        open_page.context.clock.install()
        page = open_page(served, "/review")
        page.locator(CASE).wait_for()
        return page

    return open_review


def case(page):
    """Return the address of the case on the screen."""
    return page.locator(CASE).get_attribute("data-address")


def shows(page, address):
    """Wait until that case is on the screen."""
    expect(page.locator(CASE)).to_have_attribute("data-address", address)


def moves_on(page, address):
    """Wait until another case is on the screen; return its address."""
    expect(page.locator(CASE)).not_to_have_attribute("data-address", address)
    return case(page)


def asks(page, question):
    """Wait until that question is on the screen."""
    expect(page.locator(f"{CASE} h2")).to_have_text(question)


def look(page):
    """Let the time pass, by the page's clock, that it takes to see a face; wait for its picture."""
    page.clock.fast_forward(TOO_FAST_MS)
    until(page, f"document.querySelector('{CASE} .crop')?.complete ?? true")


def press(page, key):
    """Press a key as a user who has looked at the face."""
    look(page)
    page.keyboard.press(key)


def left(page, number):
    """Wait until so many cases are left."""
    expect(page.locator("#left")).to_have_text(f"{number} left to review.")


def decided(home):
    """Return the decisions since the enrollment that are not undone, oldest first."""
    with closing(Gallery(home)) as gallery:
        history = gallery.history.list()[::-1]
        return [d.summary for d in history if d.kind != "undo" and d.undone_by is None][1:]


class Keyboard:
    """Presses keys, and remembers them."""

    def __init__(self, page):
        self.page, self.pressed = page, set()

    def press(self, key):
        self.pressed.add(key.lower())
        press(self.page, key)


def test_every_key_in_the_list_does_what_the_list_says(review, home):
    page = review()
    keyboard = Keyboard(page)
    left(page, 9)
    documented = keys_in_the_list(keyboard)
    name_a_group_and_undo(keyboard)
    keyboard.press("t")
    said(page, "Said that 2 faces are a stranger's.")
    say_yes(keyboard, ("y", "Enter", "1"))
    left(page, 5)
    say_no(keyboard, ("n", "Backspace"))
    left(page, 3)
    move_without_deciding(keyboard)
    left(page, 3)
    assert documented == keyboard.pressed
    assert decided(home) == [
        "said that 2 faces are a stranger's",
        *["said that a face is Eileen"] * 3,
        *["said that a face is not Eileen", "said that what was taken for a face is none"] * 2,
    ]


def keys_in_the_list(keyboard):
    """Open the list of keys; return the keys in it, of 1 to 9 only the 1."""
    page = keyboard.page
    keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    documented = page.locator("#keys dt").all_inner_texts()
    press(page, "t")  # no key decides behind the list
    page.keyboard.press("Escape")
    left(page, 9)
    keys = {key for line in documented for key in line.replace(" to ", " or ").split(" or ")}
    return {key.lower() for key in keys - {"9"}}


def name_a_group_and_undo(keyboard):
    page = keyboard.page
    group = case(page)
    asks(page, "Who is this? (2 photos)")
    keyboard.press("/")
    page.keyboard.type("Nurse ")  # keys such as s and u are letters here
    expect(page.get_by_label("Another name")).to_have_value("Nurse ")
    page.keyboard.press("Escape")
    expect(page.locator(f"{CASE} h2")).to_be_focused()
    expect(page.get_by_label("Another name")).to_have_value("")
    press(page, "/")
    page.keyboard.type("eil")
    page.locator("#names option[value='Eileen']").wait_for(state="attached")
    page.get_by_label("Another name").fill("Grace Hopper")
    page.keyboard.press("Enter")
    said(page, "Said that 2 faces are Grace Hopper.")
    asks(page, "Is this Eileen?")
    left(page, 8)
    keyboard.press("u")
    asks(page, "Who is this? (2 photos)")
    shows(page, group)


def say_yes(keyboard, keys):
    page = keyboard.page
    for key in keys:
        asks(page, "Is this Eileen?")
        before = case(page)
        keyboard.press(key)
        said(page, "Said that a face is Eileen.")
        moves_on(page, before)
        page.locator("#said").evaluate("place => { place.textContent = ''; }")


def say_no(keyboard, keys):
    """Reject the proposal by each key, then dismiss the case with X."""
    page = keyboard.page
    for key in keys:
        asks(page, "Is this Eileen?")
        before = case(page)
        keyboard.press(key)
        said(page, "Said that a face is not Eileen.")
        asks(page, "Who is this?")
        shows(page, before)
        expect(page.locator("[data-does=yes]")).to_be_disabled()
        press(page, "y")  # no person is asked about
        keyboard.press("x")
        said(page, "Said that what was taken for a face is none.")


def move_without_deciding(keyboard):
    page = keyboard.page
    asks(page, "Is this Eileen?")
    first = case(page)
    keyboard.press("j")
    second = moves_on(page, first)
    keyboard.press("k")
    shows(page, first)
    keyboard.press("s")
    shows(page, second)
    press(page, "s")
    press(page, "s")
    shows(page, first)  # skipped cases come again


def test_every_decision_has_a_button_and_keys_with_ctrl_are_the_browsers(review, home):
    page = review()
    group = case(page)
    for key in ("Control+y", "Alt+t", "Meta+x", "Control+s"):
        press(page, key)
    shows(page, group)
    names = ("Yes", "Not this person", "Stranger", "Not a face", "Skip", "Previous", "Next")
    for name in (*names, "Undo", "Keys", "This is them"):
        page.get_by_role("button", name=name).wait_for()
    press(page, "j")
    look(page)
    page.get_by_role("button", name="Not this person").click()
    asks(page, "Who is this?")
    said(page, "Said that a face is not Eileen.")
    look(page)
    page.get_by_role("button", name="Stranger").press("Enter")  # presses the button and is no yes
    said(page, "Said that a face is a stranger's.")
    page.get_by_role("button", name="Undo").first.click()
    asks(page, "Who is this?")
    page.get_by_role("button", name="Undo").first.click()
    asks(page, "Is this Eileen?")
    look(page)
    page.locator(f"{CASE} [data-is]").click()
    said(page, "Said that a face is Eileen.")
    assert decided(home) == ["said that a face is Eileen"]


def test_the_next_case_is_shown_at_once_and_requests_keep_their_order(review, home):
    page = review()
    press(page, "j")
    ready = "[...document.querySelectorAll('#cases article[hidden] .crop')]"
    until(page, f"{ready}.length >= 5 && {ready}.every((crop) => crop.naturalWidth)")
    shown = [case(page)]
    with held(page, "**/review/*/*") as routes:
        for key in ("y", "t", "n", "x"):
            press(page, key)
            shown.append(case(page))
        assert len(set(shown)) == 4  # one of them was decided twice
        until(page, lambda: routes)
        requests = [route.request for route in routes if route.request.method == "POST"]
        assert [request.url.rpartition("/review/")[2] for request in requests] == [
            shown[0].removeprefix("/review/") + "/is"
        ]  # the others wait for its answer
    said(page, "taken for a face is none")
    assert [summary.split(" that ")[1] for summary in decided(home)] == [
        *("a face is Eileen", "a face is a stranger's"),
        *("a face is not Eileen", "what was taken for a face is none"),
    ]


def test_every_undo_key_counts_while_an_undo_is_not_answered(review, home):
    page = review()
    for n_left in (8, 7, 6):
        press(page, "t")
        left(page, n_left)
    until(page, lambda: len(decided(home)) == 3)
    with held(page, "**/undo"):
        for _ in range(3):
            page.keyboard.press("u")
    until(page, lambda: decided(home) == [])
    left(page, 9)


def test_the_browser_asks_before_leaving_while_a_decision_is_not_stored(review, home):
    page, dialogs = review(), []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.type), dialog.dismiss()))

    def try_to_leave():
        with page.expect_event("dialog"):
            page.get_by_role("link", name="People").click(no_wait_after=True)

    with held(page, "**/review/*/stranger") as routes:
        press(page, "t")
        try_to_leave()
        until(page, lambda: len(routes) == 1)
    said(page, "Said that 2 faces are a stranger's.")
    with held(page, "**/undo") as routes:
        press(page, "u")
        try_to_leave()
        until(page, lambda: len(routes) == 1)
    said(page, "Undid")
    page.get_by_role("link", name="People").click()
    page.get_by_role("heading", name="People").wait_for()
    assert dialogs == ["beforeunload"] * 2


def test_a_key_pressed_twice_counts_once(review, home):
    page = review()
    for key in ("t", "y", "n"):
        press(page, key)
        for _ in range(3):
            page.keyboard.press(key)
    said(page, "Said that a face is not Eileen.")
    left(page, 7)
    assert decided(home) == [
        *("said that 2 faces are a stranger's", "said that a face is Eileen"),
        "said that a face is not Eileen",
    ]
    press(page, "u")
    asks(page, "Is this Eileen?")
    assert len(decided(home)) == 2

    look(page)
    page.keyboard.down("x")
    for _ in range(3):
        look(page)
        page.keyboard.down("x")  # held down
    said(page, "taken for a face is none")
    left(page, 6)
    assert len(decided(home)) == 3


def test_a_refused_decision_comes_back_with_the_reason(review, home, open_page):
    open_page.refusals += [422]
    page = review()
    press(page, "j")
    refused = case(page)
    name = page.locator(f"{CASE} .crop").get_attribute("alt").split()[-1]
    photo = home.parent / "album" / name
    before = photo.read_bytes()
    photo.write_bytes((home.parent / "album" / "grace_hopper250.png").read_bytes())
    press(page, "y")
    page.get_by_role("alert").get_by_text("the file has changed since").wait_for()
    photo.write_bytes(before)
    shows(page, refused)
    left(page, 9)
    press(page, "y")
    said(page, "Said that a face is Eileen.")
    expect(page.locator("#refused")).to_have_text("")


def test_a_yes_to_a_person_just_renamed_comes_back_with_the_new_name(review, home, open_page):
    open_page.refusals += [404]
    page = review()
    press(page, "j")
    asks(page, "Is this Eileen?")
    with closing(Gallery(home)) as gallery:
        renamed = gallery.people.rename("Eileen", "Collins")
        press(page, "y")
        page.get_by_role("alert").get_by_text("nobody called Eileen").wait_for()
        asks(page, "Is this Collins?")
        gallery.history.undo(renamed.id)


def test_a_case_decided_on_another_page_is_reported_and_left_out(review, home, open_page):
    open_page.refusals += [409, 404]
    one, other = review(), review()
    press(one, "t")
    said(one, "Said that 2 faces are a stranger's.")
    press(other, "/")
    other.keyboard.type("Grace")
    other.keyboard.press("Enter")
    said(other, "decided meanwhile: a human said that a face is a stranger's")
    asks(other, "Is this Eileen?")
    left(other, 8)
    assert decided(home) == ["said that 2 faces are a stranger's"]


def test_a_case_undone_elsewhere_comes_back(review, home, open_page):
    open_page.refusals += [409]
    page = review()
    press(page, "t")
    said(page, "Said that 2 faces are a stranger's.")
    with closing(Gallery(home)) as gallery:
        gallery.history.undo()
    press(page, "u")
    said(page, "is undone already")
    asks(page, "Who is this? (2 photos)")
    press(page, "u")
    said(page, "There is nothing to undo on this page.")


def test_the_end_of_the_review_is_shown_and_can_be_undone(review, home):
    page = review()
    for number in range(9, 0, -1):
        left(page, number)
        press(page, "t")
    page.get_by_text("Everything is decided.").wait_for()
    press(page, "y")
    press(page, "u")
    asks(page, "Is this Eileen?")
    left(page, 1)
    press(page, "s")
    said(page, "This is the only one left.")


def test_the_review_is_no_wider_than_a_narrow_window(review):
    page = review()
    page.set_viewport_size({"width": 390, "height": 844})
    for _ in range(2):
        fits(page)
        press(page, "j")


def test_without_photos_the_page_says_how_to_start_a_review(site, open_page):
    page = open_page(site, "/review")
    page.get_by_text("There is nothing to review.").wait_for()
    page.keyboard.press("y")
