"""facesearch demo: the main job on two portraits that installed packages carry, or on glyphs.

Enrolls, makes new photos by real edits (of glyphs: new drawings by other hands), identifies, and
shows all of it on one page. The gallery is a new one in a temporary folder, never the user's.
"""

import base64
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.options import NO
from facesearch_cli.render import Column, Screen, complain, counted, percent, printable

if TYPE_CHECKING:
    from PIL import Image

    from facesearch import Gallery, IdentifiedFace, IdentifiedPhoto

USAGE = 2  # as for any other way of asking for what is not there
COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"
UNKNOWN = "unknown"
PORTRAITS = {  # the package that carries it, the file in it
    COLLINS: ("skimage", "data/astronaut.png"),
    HOPPER: ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}
SIDE_PX, HIGH_PX = 480, 640  # of each half of the group picture
BEFORE = f"{COLLINS} is enrolled from one photo, {HOPPER} is a stranger"
AFTER = f"{HOPPER} is enrolled from one photo too"
NEXT = """\
Now your own photos:
  facesearch enroll people/                    one subfolder a person, named after them
  facesearch identify party.jpg --annotate named/"""
GLYPH_MODEL = "omniglot"
N_STRANGERS = 2  # of the glyphs, the last ones
KNOWN = "One drawing of each is enrolled; the others are by other hands"
STRANGE = "Not enrolled, so they should be unknown"
GLYPH_NEXT = f"""\
Now your own drawings, each a picture of its own:
  facesearch enroll signs/ -m {GLYPH_MODEL} -g signs.db      one subfolder a sign, named after it
  facesearch identify scan.png -m {GLYPH_MODEL} -g signs.db"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A photo of the demo: what was done to it, and who is in it."""

    file: str
    title: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A photo, or a drawing, with what was said of it and what should have been."""

    scene: Scene
    result: "IdentifiedPhoto"
    expected: tuple[str, ...]  # what each face should be called, in alphabetical order
    picture: Path  # for the page

    @property
    def said(self) -> tuple[str, ...]:
        """What each face was called, in alphabetical order."""
        return tuple(sorted(name_of(face) for face in self.result.faces))

    @property
    def as_expected(self) -> bool:
        return self.result.error is None and self.said == self.expected


@dataclass(frozen=True, slots=True)
class Show:
    """All that a demo has to tell."""

    what: str  # "photo" or "drawing"
    parts: tuple[tuple[str, list[Shown]], ...]  # with their titles
    wrong: list[str]  # what went wrong before anything was asked
    page: Path
    way_on: str  # what to type next


COLLINS_SCENES = (
    Scene("rotated.jpg", "sideways, upright by EXIF", (COLLINS,)),
    Scene("dark.jpg", "dark", (COLLINS,)),
    Scene("small.jpg", "small, face of 40 pixels", (COLLINS,)),
    Scene("blurred.jpg", "blurred, JPEG quality 30", (COLLINS,)),
    Scene("mirrored.jpg", "mirrored", (COLLINS,)),
    Scene("grey.jpg", "grey", (COLLINS,)),
)
HOPPER_SCENE = Scene("hopper.jpg", "mirrored", (HOPPER,))
GROUP_SCENE = Scene("group.jpg", "both women, in two sizes", (COLLINS, HOPPER))


def demo(
    glyphs: Annotated[
        bool, typer.Option("--glyphs", help="Invented characters instead of faces.")
    ] = False,
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", file_okay=False, help="Where pictures and the page go."),
    ] = Path("facesearch-demo"),
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Show the page in the browser.")
    ] = False,
) -> None:
    """Enroll and identify on two portraits that installed packages carry, or on drawn characters.

    Everything happens in a temporary gallery. Ends with 1 if anything came out other than expected.
    """
    started = perf_counter()
    show = show_glyphs(out) if glyphs else show_faces(out)
    answers = [shown for _, part in show.parts for shown in part]
    columns = (
        Column(show.what),
        Column("how", style="dim", share=1),
        Column("name"),
        Column("probability", right=True),
        Column("expected"),
    )
    screen = Screen()
    for title, part in show.parts:
        screen.line(f"{title}:")
        screen.table(columns, [row for shown in part for row in rows(shown)])
        screen.line("")
    screen.line(
        f"{counted(len({shown.scene.file for shown in answers}), show.what)} made; "
        f"{as_expected(answers)}, in {perf_counter() - started:.1f} s. "
        f"See {printable(show.page)}\n\n{show.way_on}"
    )
    if open_page:
        import webbrowser

        webbrowser.open(show.page.absolute().as_uri())
    wrong = show.wrong + [difference(shown) for shown in answers if not shown.as_expected]
    if wrong:
        complain("\n".join(["", "Not as expected:", *(f"  {sentence}" for sentence in wrong)]))
        raise typer.Exit(NO)


def as_expected(answers: Sequence[Shown]) -> str:
    """Return how many of `answers` came out as expected, in words."""
    right = sum(shown.as_expected for shown in answers)
    return f"{right} of {len(answers)} answers came out as expected"


# Faces


def show_faces(out: Path) -> Show:
    """Return what became of the edited portraits; write them and the page into `out`."""
    portraits = {person: portrait(person) for person in PORTRAITS}
    missing = [PORTRAITS[person][0] for person, path in portraits.items() if path is None]
    if missing:
        complain(
            f"The demo uses portraits that {' and '.join(missing)} would bring: "
            "pip install 'facesearch[demo]'. With --glyphs it needs none"
        )
        raise typer.Exit(USAGE)
    references = {person: path for person, path in portraits.items() if path is not None}
    for folder in (out / "photos", out / "annotated"):
        folder.mkdir(parents=True, exist_ok=True)
    make_photos(references, out / "photos")
    with new_gallery("default") as gallery:
        wrong = enroll(gallery, {COLLINS: references[COLLINS]})
        asked = identify(gallery, (*COLLINS_SCENES, HOPPER_SCENE, GROUP_SCENE), out / "photos")
        before = annotate(asked, out / "annotated", 1)
        wrong += enroll(gallery, {HOPPER: references[HOPPER]})
        asked = identify(gallery, (HOPPER_SCENE, GROUP_SCENE), out / "photos")
        after = annotate(asked, out / "annotated", 2)
    page = out / "index.html"
    page.write_text(face_page(references, before, after), encoding="utf-8")
    return Show("photo", ((BEFORE, before), (AFTER, after)), wrong, page, NEXT)


def portrait(person: str) -> Path | None:
    """Return the file of a portrait, None if the package that carries it is not installed."""
    package, name = PORTRAITS[person]
    found = importlib.util.find_spec(package)  # finds without importing
    folders = found.submodule_search_locations if found is not None else None
    for folder in folders or ():
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    return None


def make_photos(references: dict[str, Path], folder: Path) -> None:
    """Write the photos of all scenes into `folder`."""
    from PIL import Image, ImageEnhance, ImageFilter, ImageOps

    with Image.open(references[COLLINS]) as file:
        collins = file.convert("RGB")
    with Image.open(references[HOPPER]) as file:
        hopper = file.convert("RGB")

    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright after a quarter turn clockwise, as telephones write it
    lying = collins.transpose(Image.Transpose.ROTATE_90)
    lying.save(folder / "rotated.jpg", quality=92, exif=exif)
    ImageEnhance.Brightness(collins).enhance(0.25).save(folder / "dark.jpg", quality=92)
    small = ImageOps.expand(collins.resize((190, 190), Image.Resampling.LANCZOS), 85, "#8a8f98")
    small.save(folder / "small.jpg", quality=92)
    blurred = collins.filter(ImageFilter.GaussianBlur(3))
    blurred.save(folder / "blurred.jpg", quality=30)
    ImageOps.mirror(collins).save(folder / "mirrored.jpg", quality=92)
    ImageOps.grayscale(collins).save(folder / "grey.jpg", quality=92)
    ImageOps.mirror(hopper).save(folder / "hopper.jpg", quality=92)
    group_picture(collins, hopper).save(folder / "group.jpg", quality=92)


def group_picture(collins: "Image.Image", hopper: "Image.Image") -> "Image.Image":
    """Return both women side by side, the faces in different sizes."""
    from PIL import Image

    group = Image.new("RGB", (2 * SIDE_PX, HIGH_PX))
    for place, picture in enumerate((collins, hopper)):
        wide = round(picture.width * HIGH_PX / picture.height)
        scaled = picture.resize((wide, HIGH_PX), Image.Resampling.LANCZOS)
        left = (wide - SIDE_PX) // 2
        group.paste(scaled.crop((left, 0, left + SIDE_PX, HIGH_PX)), (place * SIDE_PX, 0))
    return group


def annotate(asked: Sequence[Shown], folder: Path, turn: int) -> list[Shown]:
    """Return `asked` with annotated pictures, written into `folder` and marked with `turn`."""
    from facesearch.annotation import annotated
    from facesearch.photo import read_photo

    done = []
    for shown in asked:
        picture = folder / f"{shown.picture.stem}-{turn}.jpg"
        annotated(read_photo(shown.picture), shown.result.faces).save(picture, quality=90)
        done.append(replace(shown, picture=picture))
    return done


# Glyphs


def show_glyphs(out: Path) -> Show:
    """Return what became of the drawn glyphs; write them and the page into `out`."""
    from facesearch_cli.glyphs import GLYPHS

    strangers = list(GLYPHS)[-N_STRANGERS:]
    with new_gallery(GLYPH_MODEL) as gallery:
        references = draw_enrolled([name for name in GLYPHS if name not in strangers], out)
        scenes = draw_asked(list(GLYPHS), out)
        wrong = enroll(gallery, references)
        answers = identify(gallery, scenes, out / "glyphs" / "asked")
    known = [shown for shown in answers if shown.scene.people[0] in references]
    strange = [shown for shown in answers if shown.scene.people[0] in strangers]
    page = out / "glyphs.html"
    page.write_text(glyph_page(references, known, strange), encoding="utf-8")
    return Show("drawing", ((KNOWN, known), (STRANGE, strange)), wrong, page, GLYPH_NEXT)


def draw_enrolled(names: Sequence[str], out: Path) -> dict[str, Path]:
    """Return a drawing of each glyph, in a folder of its name, as `facesearch enroll` takes it."""
    from PIL import Image

    from facesearch_cli.glyphs import PEN, drawn_by

    references = {name: out / "glyphs" / "enrolled" / name / f"{PEN.name}.png" for name in names}
    for name, file in references.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn_by(PEN, name)).save(file)
    return references


def draw_asked(names: Sequence[str], out: Path) -> list[Scene]:
    """Return the drawings of each glyph by the other hands, written to be identified."""
    from PIL import Image

    from facesearch_cli.glyphs import HANDS, drawn_by

    folder = out / "glyphs" / "asked"
    folder.mkdir(parents=True, exist_ok=True)
    scenes = []
    for name in names:
        for hand in HANDS:
            scenes.append(Scene(f"{name}-{hand.name}.png", hand.tool, (name,)))
            Image.fromarray(drawn_by(hand, name)).save(folder / scenes[-1].file)
    return scenes


# The main job, by the public interface


@contextmanager
def new_gallery(model: str) -> "Iterator[Gallery]":
    """Yield an empty gallery that is gone afterwards; raises ModelError."""
    import tempfile

    from facesearch import Gallery, Model

    loaded = Model.load(model)
    with (
        tempfile.TemporaryDirectory(prefix="facesearch-demo-") as temporary,
        Gallery(Path(temporary) / "demo.db", loaded) as gallery,
    ):
        yield gallery


def enroll(gallery: "Gallery", references: dict[str, Path]) -> list[str]:
    """Enroll each name from one picture; return what went wrong, if anything did."""
    results = gallery.enroll(references.items())
    return [f"{r.person} was {r.status}: {r.remark}" for r in results if r.status != "enrolled"]


def identify(gallery: "Gallery", scenes: Sequence[Scene], folder: Path) -> list[Shown]:
    """Return who is in the pictures of `scenes`, which are in `folder`."""
    enrolled = {row.name for row in gallery.people.all()}
    pictures = [folder / scene.file for scene in scenes]
    shown = []
    for scene, picture, result in zip(scenes, pictures, gallery.identify(pictures), strict=True):
        expected = sorted(name if name in enrolled else UNKNOWN for name in scene.people)
        shown.append(Shown(scene, result, tuple(expected), picture))
    return shown


def name_of(face: "IdentifiedFace") -> str:
    """Return what a face is called: a name, several, or unknown."""
    return face.person or " or ".join(face.alternatives) or UNKNOWN


def likelihood(face: "IdentifiedFace") -> str:
    """Return the probability of what a face is called."""
    known = face.person or face.alternatives
    return percent(face.probability if known else face.unknown_probability)


def rows(photo: Shown) -> list[tuple[object, ...]]:
    """Return the table's rows for a photo, one a face."""
    verdict = ("yes", "green") if photo.as_expected else ("no", "bold red")
    what = photo.scene.file, photo.scene.title
    if not photo.result.faces:
        return [(*what, ("nothing found", "red"), "", verdict)]
    return [
        (*what, (name_of(face), style_of(face)), likelihood(face), verdict)
        for face in photo.result.faces
    ]


def style_of(face: "IdentifiedFace") -> str:
    """Return the terminal's style for what a face is called."""
    return "bold green" if face.person else "dim"


def difference(photo: Shown) -> str:
    """Return what was expected and what came out instead, in a sentence."""
    said = photo.result.error or ", ".join(photo.said) or "nothing"
    return f"{photo.scene.file}: expected {', '.join(photo.expected)}, got {said}"


# The page

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


def face_page(references: dict[str, Path], before: Sequence[Shown], after: Sequence[Shown]) -> str:
    """Return the page of the portraits."""
    cards = [
        reference_card(person, path, f"Portrait of {person}") for person, path in references.items()
    ]
    return page_of(
        heading="Two women, one photo of each",
        lead=f"""From one portrait each, facesearch names who is in edited photos, and says unknown
to who is not enrolled. {as_expected([*before, *after])}.""",
        caveat="""This shows the way it works, not its accuracy. The photos are edits of the very
portraits that were enrolled, which is easy. And with two people the gallery says little of how
strangers score against it, so the probabilities lean on strangers that the model was calibrated
with, its cohort.""",
        sections=[
            section("The portraits that are enrolled", cards),
            section(BEFORE, [card(shown) for shown in before]),
            section(AFTER, [card(shown) for shown in after]),
        ],
        way_on=NEXT,
        credit="""Portraits: Eileen Collins by NASA, from scikit-image; Grace Hopper by the US Navy,
from matplotlib; both in the public domain.""",
    )


def glyph_page(
    references: dict[str, Path], known: Sequence[Shown], strange: Sequence[Shown]
) -> str:
    """Return the page of the glyphs: the enrolled drawing of each beside those by other hands."""
    cards = []
    for name, path in references.items():
        cards.append(reference_card(name, path, f"{name}, drawn with a pen"))
        cards += [card(shown) for shown in known if shown.scene.people == (name,)]
    return page_of(
        heading="Invented characters, one drawing of each",
        lead=f"""From one drawing each, facesearch names {len(references)} characters in drawings by
other hands, and says unknown to those that are not enrolled. The model has learned from other
alphabets; this one was made up for the demo. {as_expected([*known, *strange])}.""",
        caveat="""This shows the way it works, not its accuracy. A program draws: its hands differ
in tool, slant, turn, size and tremor, but not, as people do, in the shape of a character and the
way they put it together. And characters that were made up to differ are easily told apart; what
is harder is to know one that is not there. Of how strangers score, so few characters say little,
so the probabilities lean on those that the model was calibrated with, its cohort.""",
        sections=[
            section(KNOWN, cards, "cards rows"),
            section(STRANGE, [card(shown) for shown in strange], "cards rows"),
        ],
        way_on=GLYPH_NEXT,
        credit="The characters are drawn by facesearch itself.",
    )


def page_of(
    *, heading: str, lead: str, caveat: str, sections: Sequence[str], way_on: str, credit: str
) -> str:
    """Return a page: HTML that needs no other file, runs nothing and asks nobody."""
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
    """Return the card of a picture that is enrolled."""
    return (
        f'<figure class="reference">\n<img src="{data_uri(picture)}" alt="{escape(alt)}">\n'
        f"<figcaption><strong>{escape(name)}</strong> "
        '<span class="soft">enrolled</span></figcaption>\n</figure>\n'
    )


def card(photo: Shown) -> str:
    """Return the card of an identified picture."""
    names = ", ".join(name_of(face) for face in photo.result.faces) or "nothing"
    lines = [
        f"<li><strong>{escape(name_of(face))}</strong> <span>{escape(likelihood(face))}</span></li>"
        for face in photo.result.faces
    ]
    verdict = '<p class="yes">as expected</p>'
    if not photo.as_expected:
        verdict = f'<p class="no">expected {escape(", ".join(photo.expected))}</p>'
    wide = ' class="wide"' if len(photo.scene.people) > 1 else ""
    alt = escape(f"{photo.scene.title}, answer: {names}")
    return (
        f'<figure{wide}>\n<img src="{data_uri(photo.picture)}" alt="{alt}">\n'
        f'<figcaption><span class="soft">{escape(photo.scene.title)}</span>\n'
        f"<ul>{''.join(lines)}</ul>\n{verdict}</figcaption>\n</figure>\n"
    )


def data_uri(picture: Path) -> str:
    """Return a picture file as part of a page."""
    kind = "png" if picture.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"
