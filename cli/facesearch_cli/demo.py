"""facesearch demo: enroll and identify two portraits, or glyphs, and show the answers on a page.

The portraits come with installed packages; the photos to identify are edits of them. Glyphs are
drawn by the program. The gallery is a temporary one, never the user's.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.demo_answers import (
    Answer,
    Scene,
    difference,
    enroll,
    identify,
    n_as_expected,
    new_gallery,
    rows,
)
from facesearch_cli.demo_page import face_page, glyph_page
from facesearch_cli.options import NO
from facesearch_cli.render import Column, Screen, complain, counted, printable

if TYPE_CHECKING:
    from PIL import Image

USAGE = 2  # exit code of wrong usage
COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"
PORTRAITS = {  # the package that contains it, its file there
    COLLINS: ("skimage", "data/astronaut.png"),
    HOPPER: ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}
SIDE_PX, HIGH_PX = 480, 640  # of each half of the group picture
BEFORE = f"{COLLINS} is enrolled from one photo, {HOPPER} is a stranger"
AFTER = f"{HOPPER} is enrolled from one photo too"
NEXT = """\
Now your own photos:
  facesearch enroll people/                    one subfolder per person, with their name
  facesearch identify party.jpg --annotate named/"""
GLYPH_MODEL = "omniglot"
N_STRANGERS = 2  # the last glyphs, which are not enrolled
KNOWN = "One drawing of each is enrolled; the others are by other hands"
STRANGE = "Not enrolled, so they should be unknown"
GLYPH_NEXT = f"""\
Now your own drawings, one per picture:
  facesearch enroll signs/ -m {GLYPH_MODEL} -g signs.db      one subfolder per sign, with its name
  facesearch identify scan.png -m {GLYPH_MODEL} -g signs.db"""


@dataclass(frozen=True, slots=True)
class Show:
    """The outcome of a demo."""

    what: str  # "photo" or "drawing"
    parts: tuple[tuple[str, list[Answer]], ...]  # title and answers
    wrong: list[str]  # failures to enroll, a sentence each
    page: Path
    way_on: str  # commands to try next


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
        bool, typer.Option("--glyphs", help="Use invented characters instead of faces.")
    ] = False,
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", file_okay=False, help="Folder for pictures and the page."),
    ] = Path("facesearch-demo"),
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Show the page in the browser.")
    ] = False,
) -> None:
    """Try facesearch on two portraits that come with installed packages, or on drawn characters.

    It uses a temporary gallery. Exit 1 if an answer is not as expected.
    """
    started = perf_counter()
    show = show_glyphs(out) if glyphs else show_faces(out)
    answers = [answer for _, part in show.parts for answer in part]
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
        screen.table(columns, [row for answer in part for row in rows(answer)])
        screen.line("")
    screen.line(
        f"{counted(len({answer.scene.file for answer in answers}), show.what)} made; "
        f"{n_as_expected(answers)}, in {perf_counter() - started:.1f} s. "
        f"See {printable(show.page)}\n\n{show.way_on}"
    )
    if open_page:
        import webbrowser

        webbrowser.open(show.page.absolute().as_uri())
    wrong = show.wrong + [difference(answer) for answer in answers if not answer.as_expected]
    if wrong:
        complain("\n".join(["", "Not as expected:", *(f"  {sentence}" for sentence in wrong)]))
        raise typer.Exit(NO)


# Faces


def show_faces(out: Path) -> Show:
    """Identify edited portraits; write them and the page into `out`."""
    from facesearch.photo_files import remember_output

    portraits = {person: portrait(person) for person in PORTRAITS}
    missing = [PORTRAITS[person][0] for person, path in portraits.items() if path is None]
    if missing:
        from facesearch.extras import install_command

        complain(
            f"The demo needs portraits that come with {' and '.join(missing)}: "
            f"{install_command('demo')}. With --glyphs it needs none."
        )
        raise typer.Exit(USAGE)
    references = {person: path for person, path in portraits.items() if path is not None}
    for folder in (out / "photos", out / "annotated"):
        folder.mkdir(parents=True, exist_ok=True)
    remember_output(out, ("photos", "annotated"))
    make_photos(references, out / "photos")
    with new_gallery("default") as gallery:
        wrong = enroll(gallery, {COLLINS: references[COLLINS]})
        asked = identify(gallery, (*COLLINS_SCENES, HOPPER_SCENE, GROUP_SCENE), out / "photos")
        before = annotate(asked, out / "annotated", 1)
        wrong += enroll(gallery, {HOPPER: references[HOPPER]})
        asked = identify(gallery, (HOPPER_SCENE, GROUP_SCENE), out / "photos")
        after = annotate(asked, out / "annotated", 2)
    page = out / "index.html"
    page.write_text(face_page(references, before, after, (BEFORE, AFTER), NEXT), encoding="utf-8")
    return Show("photo", ((BEFORE, before), (AFTER, after)), wrong, page, NEXT)


def portrait(person: str) -> Path | None:
    """Return the file of a portrait, None if its package is not installed."""
    package, name = PORTRAITS[person]
    found = importlib.util.find_spec(package)  # does not import it
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
    exif[0x0112] = 6  # orientation: a quarter turn clockwise, as phones write it
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


def annotate(answers: Sequence[Answer], folder: Path, turn: int) -> list[Answer]:
    """Return `answers` with annotated pictures, written into `folder` and numbered `turn`."""
    from facesearch.annotation import annotated
    from facesearch.photo import read_photo

    done = []
    for answer in answers:
        picture = folder / f"{answer.picture.stem}-{turn}.jpg"
        annotated(read_photo(answer.picture), answer.result.faces).save(picture, quality=90)
        done.append(replace(answer, picture=picture))
    return done


# Glyphs


def show_glyphs(out: Path) -> Show:
    """Identify drawn glyphs; write them and the page into `out`."""
    from facesearch.photo_files import remember_output
    from facesearch_cli.glyphs import GLYPHS

    strangers = list(GLYPHS)[-N_STRANGERS:]
    with new_gallery(GLYPH_MODEL) as gallery:
        references = draw_enrolled([name for name in GLYPHS if name not in strangers], out)
        scenes = draw_asked(list(GLYPHS), out)
        remember_output(out, ["glyphs"])
        wrong = enroll(gallery, references)
        answers = identify(gallery, scenes, out / "glyphs" / "asked")
    known = [answer for answer in answers if answer.scene.people[0] in references]
    strange = [answer for answer in answers if answer.scene.people[0] in strangers]
    page = out / "glyphs.html"
    page.write_text(
        glyph_page(references, known, strange, (KNOWN, STRANGE), GLYPH_NEXT), encoding="utf-8"
    )
    return Show("drawing", ((KNOWN, known), (STRANGE, strange)), wrong, page, GLYPH_NEXT)


def draw_enrolled(names: Sequence[str], out: Path) -> dict[str, Path]:
    """Write a drawing of each glyph, in a folder of its name as facesearch enroll expects it."""
    from PIL import Image

    from facesearch_cli.glyphs import PEN, drawn_by

    references = {name: out / "glyphs" / "enrolled" / name / f"{PEN.name}.png" for name in names}
    for name, file in references.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn_by(PEN, name)).save(file)
    return references


def draw_asked(names: Sequence[str], out: Path) -> list[Scene]:
    """Write the drawings of each glyph by the other hands, which are to be identified."""
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
