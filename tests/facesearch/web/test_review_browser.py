"""The review in a real browser: every documented key, and what must not happen however fast."""

import time
from contextlib import closing, contextmanager

import pytest
from PIL import Image

from facesearch import Gallery

TOO_FAST_MS = 260  # the page takes no decision sooner after a question


@pytest.fixture(scope="module")
def home(tmp_path_factory, portraits):
    """A gallery that knows Eileen, and an album: Grace Hopper on two photos, Eileen on eight."""
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
    """The page of the review; what was decided before is undone."""
    with closing(Gallery(home)) as gallery:
        for decision in gallery.history.list():
            if decision.kind not in ("undo", "enroll") and decision.undone_by is None:
                gallery.history.undo(decision.id)

    def open_review():
        open_page.context.clock.install()
        page = open_page(served, "/review")
        page.locator("#cases article:not([hidden])").wait_for()
        return page

    return open_review


def case(page):
    """Return the address of the case that is shown."""
    return page.locator("#cases article:not([hidden])").get_attribute("data-address")


def asks(page, question):
    page.locator("#cases article:not([hidden]) h2", has_text=question).wait_for()


def until(page, expression):
    """Wait until that is true; Playwright's own way needs what the page forbids."""
    for _ in range(1000):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise TimeoutError(expression)


def look(page):
    """Let as much time pass, by the page's clock, as it takes to see a face; it has come then."""
    page.clock.fast_forward(TOO_FAST_MS)
    until(page, "document.querySelector('#cases article:not([hidden]) .crop')?.complete ?? true")


def press(page, key):
    """Press a key as somebody who has looked at the face does."""
    look(page)
    page.keyboard.press(key)


def said(page, sentence):
    page.locator("#said", has_text=sentence).wait_for()


def left(page, number):
    sentence = "1 decision waits." if number == 1 else f"{number} decisions wait."
    page.locator("#left", has_text=sentence).wait_for()


@contextmanager
def held(page, pattern):
    """Hold back the requests whose address is like that, until the block ends."""
    routes, is_over = [], False
    page.route(pattern, lambda route: route.continue_() if is_over else routes.append(route))
    yield routes
    is_over = True
    for route in routes:
        route.continue_()


def decided(home):
    """Return what stands decided since the enrollment, oldest first."""
    with closing(Gallery(home)) as gallery:
        history = gallery.history.list()[::-1]
        return [d.summary for d in history if d.kind != "undo" and d.undone_by is None][1:]


def test_every_documented_key_does_what_the_list_of_keys_says(review, home):
    page = review()
    left(page, 9)
    asks(page, "Who is on these 2 faces?")
    tried = set()

    def by(key):
        tried.add(key)
        press(page, key)

    by("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    documented = page.locator("#keys dt").all_inner_texts()
    press(page, "t")  # behind the list no key decides
    page.keyboard.press("Escape")
    left(page, 9)

    group = case(page)
    by("/")
    page.keyboard.type("Nurse ")  # s, u and the like are letters here
    assert page.get_by_label("Another name").input_value() == "Nurse "
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.tagName") == "H2"
    assert page.get_by_label("Another name").input_value() == ""
    press(page, "/")
    page.keyboard.type("eil")
    page.locator("#names option[value='Eileen']").wait_for(state="attached")
    page.get_by_label("Another name").fill("Grace Hopper")
    page.keyboard.press("Enter")
    said(page, "Said that 2 faces are Grace Hopper.")
    asks(page, "Is this Eileen?")
    left(page, 8)

    by("u")
    asks(page, "Who is on these 2 faces?")
    assert case(page) == group
    by("t")
    said(page, "Said that 2 faces are a stranger's.")

    for key in ("y", "Enter", "1"):
        asks(page, "Is this Eileen?")
        before = case(page)
        by(key)
        said(page, "Said that a face is Eileen.")
        assert case(page) != before
        page.locator("#said").evaluate("place => { place.textContent = ''; }")
    left(page, 5)

    for key in ("n", "Backspace"):
        asks(page, "Is this Eileen?")
        before = case(page)
        by(key)
        said(page, "Said that a face is not Eileen.")
        asks(page, "Who is this?")
        assert case(page) == before
        assert page.locator("[data-does=yes]").is_disabled()
        press(page, "y")  # nobody is asked about
        by("x")
        said(page, "Said that what was taken for a face is none.")
    left(page, 3)

    asks(page, "Is this Eileen?")
    first = case(page)
    by("j")
    second = case(page)
    by("k")
    assert case(page) == first
    by("s")
    assert case(page) == second
    press(page, "s")
    press(page, "s")
    assert case(page) == first  # what was skipped comes again
    left(page, 3)

    keys = {key for line in documented for key in line.replace(" to ", " or ").split(" or ")}
    assert {key.lower() for key in keys - {"9"}} == {key.lower() for key in tried}
    assert decided(home) == [
        "said that 2 faces are a stranger's",
        *["said that a face is Eileen"] * 3,
        *["said that a face is not Eileen", "said that what was taken for a face is none"] * 2,
    ]


def test_every_decision_has_a_button_and_a_key_with_ctrl_is_the_browsers(review, home):
    page = review()
    group = case(page)
    for key in ("Control+y", "Alt+t", "Meta+x", "Control+s"):
        press(page, key)
    assert case(page) == group
    names = ("Yes", "Not this person", "A stranger", "Not a face", "Skip", "Previous", "Next")
    for name in (*names, "Undo", "Keys", "This is them"):
        page.get_by_role("button", name=name).wait_for()
    press(page, "j")
    look(page)
    page.get_by_role("button", name="Not this person").click()
    asks(page, "Who is this?")
    said(page, "Said that a face is not Eileen.")
    look(page)
    page.get_by_role("button", name="A stranger").press("Enter")  # presses that and is no yes
    said(page, "Said that a face is a stranger's.")
    page.get_by_role("button", name="Undo").first.click()
    asks(page, "Who is this?")
    page.get_by_role("button", name="Undo").first.click()
    asks(page, "Is this Eileen?")
    look(page)
    page.locator("#cases article:not([hidden]) [data-is]").click()
    said(page, "Said that a face is Eileen.")
    assert decided(home) == ["said that a face is Eileen"]


def test_the_next_is_there_at_once_with_its_picture_and_requests_keep_their_order(review, home):
    page = review()
    press(page, "j")
    ready = "[...document.querySelectorAll('#cases article[hidden] .crop')]"
    until(page, f"{ready}.length >= 5 && {ready}.every((crop) => crop.naturalWidth)")
    shown = [case(page)]
    with held(page, "**/review/*/*") as routes:
        for key in ("y", "t", "n", "x"):
            press(page, key)
            shown.append(case(page))
        assert len(set(shown)) == 4  # of which one was decided about twice
        requests = [route.request for route in routes if route.request.method == "POST"]
        assert [request.url.rpartition("/review/")[2] for request in requests] == [
            shown[0].removeprefix("/review/") + "/is"
        ]  # the others wait for that
    said(page, "taken for a face is none")
    assert [told.split(" that ")[1] for told in decided(home)] == [
        *("a face is Eileen", "a face is a stranger's"),
        *("a face is not Eileen", "what was taken for a face is none"),
    ]


def test_nobody_leaves_unasked_while_a_decision_is_not_told_yet(review, home):
    page, asked = review(), []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    with held(page, "**/review/*/stranger") as routes:
        press(page, "t")
        page.get_by_role("link", name="People").click(no_wait_after=True)
        page.wait_for_timeout(100)
        assert (asked, len(routes)) == (["beforeunload"], 1)
    said(page, "Said that 2 faces are a stranger's.")
    with held(page, "**/undo") as routes:
        press(page, "u")  # an undo is not told yet, too
        page.get_by_role("link", name="People").click(no_wait_after=True)
        page.wait_for_timeout(100)
        assert (asked, len(routes)) == (["beforeunload"] * 2, 1)
    said(page, "Undid")
    page.get_by_role("link", name="People").click()
    page.get_by_role("heading", name="People").wait_for()
    assert asked == ["beforeunload"] * 2


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
    page.keyboard.press("u")
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


def test_what_is_refused_comes_back_with_the_reason(review, home, open_page):
    open_page.refusals += [422]
    page = review()
    press(page, "j")
    refused = case(page)
    name = page.locator("#cases article:not([hidden]) .crop").get_attribute("alt").split()[-1]
    photo = home.parent / "album" / name
    before = photo.read_bytes()
    photo.write_bytes((home.parent / "album" / "grace_hopper250.png").read_bytes())
    press(page, "y")
    page.get_by_role("alert").get_by_text("the file has changed since").wait_for()
    photo.write_bytes(before)
    assert case(page) == refused
    left(page, 9)
    press(page, "y")
    said(page, "Said that a face is Eileen.")
    assert page.locator("#refused").text_content() == ""


def test_a_yes_to_who_was_renamed_meanwhile_comes_back_with_the_new_name(review, home, open_page):
    open_page.refusals += [404]
    page = review()
    press(page, "j")
    question = page.locator("#cases article:not([hidden]) h2")
    assert question.inner_text() == "Is this Eileen?"
    with closing(Gallery(home)) as gallery:
        renamed = gallery.people.rename("Eileen", "Collins")
        press(page, "y")
        page.get_by_role("alert").get_by_text("nobody called Eileen").wait_for()
        assert question.inner_text() == "Is this Collins?"
        gallery.history.undo(renamed.id)


def test_what_was_decided_on_another_page_is_told_and_left_out(review, home, open_page):
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


def test_what_was_undone_elsewhere_waits_again(review, home, open_page):
    open_page.refusals += [409]
    page = review()
    press(page, "t")
    said(page, "Said that 2 faces are a stranger's.")
    with closing(Gallery(home)) as gallery:
        gallery.history.undo()
    press(page, "u")
    said(page, "is undone already")
    asks(page, "Who is on these 2 faces?")
    press(page, "u")
    said(page, "Nothing was decided here that is not undone.")


def test_when_nothing_waits_any_more_that_is_said_and_can_be_undone(review, home):
    page = review()
    for number in range(9, 0, -1):
        left(page, number)
        press(page, "t")
    page.get_by_text("Nothing waits for a decision any more.").wait_for()
    press(page, "y")
    press(page, "u")
    asks(page, "Is this Eileen?")
    left(page, 1)
    press(page, "s")
    said(page, "This is the only one that is left.")


def test_the_review_is_no_wider_than_a_narrow_window(review):
    page = review()
    page.set_viewport_size({"width": 390, "height": 844})
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        press(page, "j")


def test_without_photos_the_page_says_how_to_be_asked(site, open_page):
    page = open_page(site, "/review")
    page.get_by_text("Nothing waits here.").wait_for()
    page.keyboard.press("y")
