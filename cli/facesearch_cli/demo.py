"""facesearch demo: the main job on two portraits that installed packages carry.

Enrolls, makes new photos by real edits, identifies, and shows all of it on one page. The gallery
is a new one in a temporary folder, never the user's.
"""

import base64
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
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
COLUMNS = (
    Column("photo"),
    Column("edit", style="dim", share=1),
    Column("name"),
    Column("probability", right=True),
    Column("expected"),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """A photo of the demo: what was done to it, and who is in it."""

    file: str
    title: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A photo with what was said of it and what should have been."""

    scene: Scene
    result: "IdentifiedPhoto"
    expected: tuple[str, ...]  # what each face should be called, in alphabetical order
    picture: Path  # annotated

    @property
    def said(self) -> tuple[str, ...]:
        """What each face was called, in alphabetical order."""
        return tuple(sorted(name_of(face) for face in self.result.faces))

    @property
    def as_expected(self) -> bool:
        return self.result.error is None and self.said == self.expected


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
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", file_okay=False, help="Where photos and the page go."),
    ] = Path("facesearch-demo"),
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Show the page in the browser.")
    ] = False,
) -> None:
    """Enroll and identify on two portraits that installed packages carry.

    Everything happens in a temporary gallery. Ends with 1 if anything came out other than expected.
    """
    started = perf_counter()
    portraits = {person: portrait(person) for person in PORTRAITS}
    missing = [PORTRAITS[person][0] for person, path in portraits.items() if path is None]
    if missing:
        complain(
            f"The demo uses portraits that {' and '.join(missing)} would bring: "
            "pip install 'facesearch[demo]'"
        )
        raise typer.Exit(USAGE)
    references = {person: path for person, path in portraits.items() if path is not None}

    import tempfile

    from facesearch import Gallery

    for folder in (out / "photos", out / "annotated"):
        folder.mkdir(parents=True, exist_ok=True)
    make_photos(references, out / "photos")
    with (
        tempfile.TemporaryDirectory(prefix="facesearch-demo-") as temporary,
        Gallery(Path(temporary) / "demo.db") as gallery,
    ):
        wrong = enroll(gallery, COLLINS, references[COLLINS])
        before = identify(gallery, (*COLLINS_SCENES, HOPPER_SCENE, GROUP_SCENE), out, 1)
        wrong += enroll(gallery, HOPPER, references[HOPPER])
        after = identify(gallery, (HOPPER_SCENE, GROUP_SCENE), out, 2)
    page = out / "index.html"
    page.write_text(page_of(references, before, after), encoding="utf-8")

    screen = Screen()
    for title, shown in ((BEFORE, before), (AFTER, after)):
        screen.line(f"{title}:")
        screen.table(COLUMNS, [row for photo in shown for row in rows(photo)])
        screen.line("")
    screen.line(
        f"{counted(len(COLLINS_SCENES) + 2, 'photo')} made, identified and annotated in "
        f"{perf_counter() - started:.1f} s. See {printable(page)}\n\n{NEXT}"
    )
    if open_page:
        import webbrowser

        webbrowser.open(page.absolute().as_uri())
    wrong += [difference(photo) for photo in (*before, *after) if not photo.as_expected]
    if wrong:
        complain("\n".join(["", "Not as expected:", *(f"  {sentence}" for sentence in wrong)]))
        raise typer.Exit(NO)


def portrait(person: str) -> Path | None:
    """Return the file of a portrait, None if the package that carries it is not installed."""
    package, name = PORTRAITS[person]
    found = importlib.util.find_spec(package)  # finds without importing
    folders = found.submodule_search_locations if found is not None else None
    for folder in folders or ():
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    return None


# Photos


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


# The main job, by the public interface


def enroll(gallery: "Gallery", person: str, photo: Path) -> list[str]:
    """Enroll `person` from one photo; return what went wrong, if anything did."""
    results = gallery.enroll([(person, photo)])
    return [f"{r.person} was {r.status}: {r.remark}" for r in results if r.status != "enrolled"]


def identify(gallery: "Gallery", scenes: Sequence[Scene], out: Path, turn: int) -> list[Shown]:
    """Return who is in the photos of `scenes`; write them annotated, marked with `turn`."""
    from facesearch.annotation import annotated
    from facesearch.photo import read_photo

    enrolled = {row.name for row in gallery.people()}
    shown = []
    photos = [out / "photos" / scene.file for scene in scenes]
    for scene, photo, result in zip(scenes, photos, gallery.identify(photos), strict=True):
        picture = out / "annotated" / f"{photo.stem}-{turn}.jpg"
        annotated(read_photo(photo), result.faces).save(picture, quality=90)
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
        return [(*what, ("no face found", "red"), "", verdict)]
    return [
        (*what, (name_of(face), style_of(face)), likelihood(face), verdict)
        for face in photo.result.faces
    ]


def style_of(face: "IdentifiedFace") -> str:
    """Return the terminal's style for what a face is called."""
    return "bold green" if face.person else "dim"


def difference(photo: Shown) -> str:
    """Return what was expected and what came out instead, in a sentence."""
    said = photo.result.error or ", ".join(photo.said) or "no face"
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
@media (max-width: 34rem) { figure.wide { grid-column: auto; } }"""


def page_of(references: dict[str, Path], before: Sequence[Shown], after: Sequence[Shown]) -> str:
    """Return the page: HTML that needs no other file, runs nothing and asks nobody."""
    shown = [*before, *after]
    right = sum(photo.as_expected for photo in shown)
    cards = [reference_card(person, path) for person, path in references.items()]
    sections = [
        section(title, [card(photo) for photo in photos])
        for title, photos in ((BEFORE, before), (AFTER, after))
    ]
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
<h1>Two women, one photo of each</h1>
<p>From one portrait each, facesearch names who is in edited photos, and says unknown to who is
not enrolled. {right} of {len(shown)} answers came out as expected.</p>
<p class="note">This shows the way it works, not its accuracy. The photos are edits of the very
portraits that were enrolled, which is easy. And with two people the gallery says little of how
strangers score against it, so the probabilities lean on strangers that the model was calibrated
with, its cohort.</p>
{section("The portraits that are enrolled", cards)}
{"".join(sections)}
<h2>Your own photos</h2>
<pre><code>{escape(NEXT.partition(chr(10))[2])}</code></pre>
<footer><p>Portraits: Eileen Collins by NASA, from scikit-image; Grace Hopper by the US Navy, from
matplotlib; both in the public domain. The pictures are part of this file: it needs no network.</p>
</footer>
</main>
</body>
</html>
"""


def section(title: str, cards: Sequence[str]) -> str:
    """Return a heading with cards below it."""
    inside = f'<h2>{escape(title)}</h2>\n<div class="cards">\n{"".join(cards)}</div>'
    return f"<section>\n{inside}\n</section>\n"


def reference_card(person: str, photo: Path) -> str:
    """Return the card of a portrait."""
    return (
        f'<figure>\n<img src="{data_uri(photo)}" alt="Portrait of {escape(person)}">\n'
        f"<figcaption><strong>{escape(person)}</strong></figcaption>\n</figure>\n"
    )


def card(photo: Shown) -> str:
    """Return the card of an identified photo."""
    names = ", ".join(name_of(face) for face in photo.result.faces) or "no face"
    lines = [
        f"<li><strong>{escape(name_of(face))}</strong> <span>{escape(likelihood(face))}</span></li>"
        for face in photo.result.faces
    ]
    verdict = '<p class="yes">as expected</p>'
    if not photo.as_expected:
        verdict = f'<p class="no">expected {escape(", ".join(photo.expected))}</p>'
    wide = ' class="wide"' if len(photo.scene.people) > 1 else ""
    alt = escape(f"{photo.scene.title}, boxes say: {names}")
    return (
        f'<figure{wide}>\n<img src="{data_uri(photo.picture)}" alt="{alt}">\n'
        f'<figcaption><span class="soft">{escape(photo.scene.title)}</span>\n'
        f"<ul>{''.join(lines)}</ul>\n{verdict}</figcaption>\n</figure>\n"
    )


def data_uri(picture: Path) -> str:
    """Return a picture file as part of a page."""
    kind = "png" if picture.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"
