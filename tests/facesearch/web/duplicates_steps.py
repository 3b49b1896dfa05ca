"""Steps that the tests of duplicates share: searching, cards, decisions and undo."""

import re
import time


def text(site, path, expected=200):
    status, _, body = site.ask("GET", path)
    assert status == expected
    return body.decode()


def searched(site):
    """Search for duplicates and wait for the end."""
    assert site.tell("/duplicates/look")[0] == 200
    while b'"looking":true' in site.ask("GET", "/duplicates/progress")[2]:
        time.sleep(0.05)
    return site


class Card:
    """A card of the page."""

    def __init__(self, site, html):
        self.site, self.html = site, html.replace("<wbr>", "")  # where a line may break
        found = re.search(r'data-card="(\d+)" data-stamp="(\w+)"', html)
        self.number, self.stamp = found.groups() if found else (None, None)

    @property
    def sides(self):
        return re.findall(r'aria-label="Side \d: ([^"]*)"', self.html)

    @property
    def stays(self):
        return int(re.search(r'value="(\d)" checked', self.html)[1])

    def decide(self, verb, **values):
        return self.site.tell(
            f"/duplicates/cards/{self.number}/{verb}", **{"stamp": self.stamp, **values}
        )


def card(site, kind, start=0):
    return Card(site, text(site, f"/duplicates/{kind}/next?start={start}"))


def again(card):
    return Card(card.site, text(card.site, f"/duplicates/cards/{card.number}"))


def undo(site, answer):
    assert site.tell("/undo", number=answer["undo"])[0] == 200
