"""Steps that the browser tests share. Each waits for what it expects, never for time."""

import base64
from contextlib import contextmanager

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
expect.set_options(timeout=30_000)

DROP = """([name, data]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const held = new DataTransfer();
    held.items.add(new File([bytes], name));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: held, bubbles: true }));
}"""


def drop(page, photo):
    """Drop a photo on the page."""
    page.evaluate(DROP, [photo.name, base64.b64encode(photo.read_bytes()).decode()])


def follow(page, link, heading):
    """Follow a link to a page with that heading, whose scripts have run then."""
    page.get_by_role("link", name=link).click()
    page.get_by_role("heading", name=heading).wait_for()
    page.wait_for_load_state("load")


def said(page, sentence):
    """Wait for a sentence at the foot of the page."""
    expect(page.locator("#said")).to_contain_text(sentence)


def until(page, condition):
    """Wait until `condition` holds, a function or JavaScript.

    Playwright's own way to wait for JavaScript needs `eval`, which the page's policy forbids.
    """
    for _ in range(1500):
        if condition() if callable(condition) else page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise TimeoutError(condition)


def fits(page):
    """Wait until the page is no wider than its window."""
    until(page, "document.documentElement.scrollWidth <= window.innerWidth")


@contextmanager
def held(page, pattern):
    """Hold back the requests whose address matches `pattern` until the block ends."""
    routes, is_over = [], False
    page.route(pattern, lambda route: route.continue_() if is_over else routes.append(route))
    yield routes
    is_over = True
    for route in routes:
        route.continue_()
