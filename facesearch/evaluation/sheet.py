"""The pairs that a model got most wrong -> one picture that shows them."""

import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facesearch.evaluation.omniglot import Ids
from facesearch.evaluation.pictures import Pictures
from facesearch.evaluation.report import Report

ROWS = 12  # pairs of each kind
TILE_PX = 112  # side of a crop as shown
GAP_PX = 12
FONT_PX = 12
LINE_PX = 16
COLUMN_PX = 2 * TILE_PX + 220  # two crops, and room for the names of their classes
PAPER, FAINT, TEXT = (255, 255, 255), (216, 222, 229), (13, 20, 24)


def save_sheet(file: Path, pictures: Pictures, report: Report) -> None:
    """Write a PNG of the worst pairs: mated with the lowest llr, non-mated with the highest.

    There are two columns, with the worst pair on top. Each pair is shown side by side with its
    classes and the head's llr, a log-likelihood ratio: above 0 it is taken for one class. `file`
    appears only when it is complete. Raises OSError.
    """
    mated, non_mated = worst_pairs(report)
    height = 2 * GAP_PX + LINE_PX + max(len(mated), len(non_mated)) * (TILE_PX + GAP_PX)
    sheet = Image.new("RGB", (2 * COLUMN_PX + 3 * GAP_PX, height), PAPER)
    columns = (("One class, least alike", mated), ("Two classes, most alike", non_mated))
    for column, (heading, worst) in enumerate(columns):
        left = GAP_PX + column * (COLUMN_PX + GAP_PX)
        _write(sheet, left, GAP_PX // 2, heading, COLUMN_PX)
        for row, pair in enumerate(worst):
            top = GAP_PX + LINE_PX + row * (TILE_PX + GAP_PX)
            _draw_pair(sheet, left, top, pictures, report, int(pair))
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        with unfinished.open("wb") as stream:
            sheet.save(stream, "PNG")
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def worst_pairs(report: Report) -> tuple[Ids, Ids]:
    """Return the mated pairs with the lowest llr and the non-mated with the highest, worst first.

    They are given by their places in `report.pairs`, at most ROWS of each kind.
    """
    rising = np.argsort(report.llrs, kind="stable")
    mated = rising[report.pairs.mated[rising]]
    non_mated = rising[::-1][~report.pairs.mated[rising[::-1]]]
    return mated[:ROWS], non_mated[:ROWS]


def _draw_pair(
    sheet: Image.Image, left: int, top: int, pictures: Pictures, report: Report, pair: int
) -> None:
    rows = int(report.pairs.first[pair]), int(report.pairs.second[pair])
    for place, row in enumerate(rows):
        crop = pictures.crops[row]
        tile = Image.fromarray(crop if crop.shape[2] == 3 else crop[:, :, 0]).convert("RGB")
        tile = tile.resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC)
        x = left + place * TILE_PX
        sheet.paste(tile, (x, top))
        ImageDraw.Draw(sheet).rectangle((x, top, x + TILE_PX - 1, top + TILE_PX - 1), None, FAINT)
    text = left + 2 * TILE_PX + GAP_PX // 2
    lines = [_caption(pictures, row) for row in rows[: 1 if report.pairs.mated[pair] else 2]]
    for number, line in enumerate([*lines, f"llr {report.llrs[pair]:+.2f}"]):
        _write(sheet, text, top + number * LINE_PX, line, COLUMN_PX - 2 * TILE_PX - GAP_PX // 2)


def _caption(pictures: Pictures, row: int) -> str:
    """Return a class's name in letters of Pillow's own font, or else its number from 1."""
    number = int(pictures.classes[row])
    decomposed = unicodedata.normalize("NFKD", pictures.class_names[number])
    plain = decomposed.encode("ascii", "ignore").decode().strip("/ ")
    return plain or f"class {number + 1}"


def _write(sheet: Image.Image, left: int, top: int, text: str, room_px: int) -> None:
    """Write a line; if it is too long its start is cut off, since the ends of names differ more."""
    font = ImageFont.load_default(FONT_PX)
    draw = ImageDraw.Draw(sheet)
    shown = text
    while len(text) > 1 and draw.textlength(shown, font) > room_px:
        text = text[1:]
        shown = f"..{text}"
    draw.text((left, top), shown, TEXT, font)
