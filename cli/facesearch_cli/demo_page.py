"""The page of the demo: one HTML file that needs no other file, no script and no network."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from facesearch_cli.demo_answers import Answer, likelihood, n_as_expected, name_of

STYLE = """:root { color-scheme: light dark; --ground: #f6f7f8; --card: #fff; --text: #14191d;
  --soft: #566069; --line: #dfe3e7; --good: #0b7a52; --bad: #b3261e; --tint: #e8f6ef; }
@media (prefers-color-scheme: dark) { :root { --ground: #101418; --card: #181e23; --text: #eef1f3;
  --soft: #a3adb6; --line: #2b333a; --good: #4ade9e; --bad: #ff8a80; --tint: #14291f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 84rem; margin: 0 auto; padding: clamp(1rem, 4vw, 3rem); }
h1 { font-size: clamp(1.6rem, 5vw, 2.4rem); line-height: 1.15; letter-spacing: -.02em;
  margin: 0 0 .75rem; text-wrap: balance; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 1rem; text-wrap: balance; }
p { margin: 0 0 .75rem; max-width: 44rem; }
.soft, footer { color: var(--soft); font-size: .9rem; }
.note { border-left: 3px solid var(--good); background: var(--tint); padding: .8rem 1rem;
  border-radius: 0 .5rem .5rem 0; max-width: 44rem; }
.cards { display: grid; gap: 1.1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr)); align-items: start; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: .75rem; overflow: hidden; display: flex; flex-direction: column; }
figure.wide { grid-column: span 2; }
img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; object-position: 50% 25%; }
.wide img { aspect-ratio: 3 / 2; }
.rows { grid-template-columns: repeat(2, 1fr); gap: .7rem; }
.rows li { flex-wrap: wrap; }
.reference { border: 2px solid var(--good); }
figcaption { padding: .75rem .9rem .9rem; }
ul { list-style: none; margin: .35rem 0; padding: 0; }
li { display: flex; justify-content: space-between; align-items: baseline; gap: .5rem; }
li span { color: var(--soft); font-variant-numeric: tabular-nums; white-space: nowrap;
  font-size: .9rem; }
.yes { color: var(--good); } .no { color: var(--bad); font-weight: 600; }
.yes, .no { font-size: .9rem; margin: 0; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .9rem 1rem; overflow-x: auto; font-size: .88rem; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; }
@media (max-width: 34rem) { figure.wide { grid-column: auto; } }
@media (min-width: 34rem) { .rows { grid-template-columns: repeat(4, 1fr); } }
@media (min-width: 64rem) { .rows { grid-template-columns: repeat(8, 1fr); } }"""


def face_page(
    references: dict[str, Path],
    before: Sequence[Answer],
    after: Sequence[Answer],
    titles: tuple[str, str],
    way_on: str,
) -> str:
    """Return the page of the portraits."""
    cards = [
        reference_card(person, path, f"Portrait of {person}") for person, path in references.items()
    ]
    return page_of(
        heading="Two women, one photo of each",
        lead=f"""From one portrait each, facesearch names the people in edited photos, and says
unknown for people who are not enrolled. {n_as_expected([*before, *after])}.""",
        caveat="""This shows how it works, not its accuracy. The photos are edits of the very
portraits that were enrolled, which is easy. And two people say little about how strangers score
against a gallery, so the probabilities rely on the strangers that the model was calibrated with,
its cohort.""",
        sections=[
            section("Enrolled portraits", cards),
            section(titles[0], [card(answer) for answer in before]),
            section(titles[1], [card(answer) for answer in after]),
        ],
        way_on=way_on,
        credit="""Portraits: Eileen Collins by NASA, from scikit-image; Grace Hopper by the US Navy,
from matplotlib; both in the public domain.""",
    )


def glyph_page(
    references: dict[str, Path],
    known: Sequence[Answer],
    strange: Sequence[Answer],
    titles: tuple[str, str],
    way_on: str,
) -> str:
    """Return the page of the glyphs: the enrolled drawing of each beside those by other hands."""
    cards = []
    for name, path in references.items():
        cards.append(reference_card(name, path, f"{name}, drawn with a pen"))
        cards += [card(answer) for answer in known if answer.scene.people == (name,)]
    return page_of(
        heading="Invented characters, one drawing of each",
        lead=f"""From one drawing each, facesearch names {len(references)} characters in drawings by
other hands, and says unknown for characters that are not enrolled. The model was trained on other
alphabets; this one was made up for the demo. {n_as_expected([*known, *strange])}.""",
        caveat="""This shows how it works, not its accuracy. The drawings are made by a program: its
hands differ in tool, slant, rotation, size and tremor, but not, as people's do, in the shapes and
the order of strokes. And characters that were made up to differ are easily told apart; rejecting
one that is not enrolled is harder. So few characters say little about how strangers score, so the
probabilities rely on the characters that the model was calibrated with, its cohort.""",
        sections=[
            section(titles[0], cards, "cards rows"),
            section(titles[1], [card(answer) for answer in strange], "cards rows"),
        ],
        way_on=way_on,
        credit="The characters are drawn by facesearch itself.",
    )


def page_of(
    *, heading: str, lead: str, caveat: str, sections: Sequence[str], way_on: str, credit: str
) -> str:
    """Return the HTML; the first line of `way_on` is a heading, the rest commands."""
    title, _, commands = way_on.partition(chr(10))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>facesearch demo</title>
<link rel="icon" href="data:,">
<style>
{STYLE}
</style>
</head>
<body>
<main>
<h1>{escape(heading)}</h1>
<p>{escape(lead)}</p>
<p class="note">{escape(caveat)}</p>
{"".join(sections)}
<h2>{escape(title.rstrip(":"))}</h2>
<pre><code>{escape(commands)}</code></pre>
<footer><p>{escape(credit)} The pictures are part of this file: it needs no network.</p></footer>
</main>
</body>
</html>
"""


def section(title: str, cards: Sequence[str], layout: str = "cards") -> str:
    """Return a heading with cards below it."""
    inside = f'<h2>{escape(title)}</h2>\n<div class="{layout}">\n{"".join(cards)}</div>'
    return f"<section>\n{inside}\n</section>\n"


def reference_card(name: str, picture: Path, alt: str) -> str:
    """Return the card of an enrolled picture."""
    return (
        f'<figure class="reference">\n<img src="{data_uri(picture)}" alt="{escape(alt)}">\n'
        f"<figcaption><strong>{escape(name)}</strong> "
        '<span class="soft">enrolled</span></figcaption>\n</figure>\n'
    )


def card(answer: Answer) -> str:
    """Return the card of an identified picture."""
    names = ", ".join(name_of(face) for face in answer.result.faces) or "nothing"
    lines = [
        f"<li><strong>{escape(name_of(face))}</strong> <span>{escape(likelihood(face))}</span></li>"
        for face in answer.result.faces
    ]
    verdict = '<p class="yes">as expected</p>'
    if not answer.as_expected:
        verdict = f'<p class="no">expected {escape(", ".join(answer.expected))}</p>'
    wide = ' class="wide"' if len(answer.scene.people) > 1 else ""
    alt = escape(f"{answer.scene.title}, answer: {names}")
    return (
        f'<figure{wide}>\n<img src="{data_uri(answer.picture)}" alt="{alt}">\n'
        f'<figcaption><span class="soft">{escape(answer.scene.title)}</span>\n'
        f"<ul>{''.join(lines)}</ul>\n{verdict}</figcaption>\n</figure>\n"
    )


def data_uri(picture: Path) -> str:
    """Return a picture file as a data: address."""
    kind = "png" if picture.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"
