"""The arguments of every benchmark, and its output: a table, or with --json one flat object."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STDOUT = Path("-")


def parse_arguments(description: str | None) -> argparse.Namespace:
    """Return the parsed command line of a benchmark; `data` is the folder of the research data."""
    return argument_parser(description).parse_args()


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser of the arguments that all benchmarks have."""
    here = Path(__file__).resolve().parent.parent
    data = Path(os.environ.get("FACESEARCH_DATA", here.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument(
        "--json",
        nargs="?",
        type=Path,
        const=STDOUT,
        metavar="FILE",
        help="print the figures as one flat object, or write it to FILE",
    )
    parser.add_argument("--data", type=Path, default=data, help="default: $FACESEARCH_DATA")
    return parser


def need(folder: Path) -> Path:
    """Return `folder`; exit with a sentence if it does not exist."""
    if not folder.is_dir():
        sys.exit(f"there is no data at {folder}; set FACESEARCH_DATA to its parent")
    return folder


def show(figures: Mapping[str, float | None], title: str, *, as_json: Path | None) -> None:
    """Print `figures` as a table of two columns; write them as one JSON object to `as_json`.

    A figure that was not measured is None. If the object goes to STDOUT, no table is printed.
    """
    if as_json != STDOUT:
        print(title)
        for name, figure in figures.items():
            print(f"  {name:44} {'-' if figure is None else f'{figure:g}':>10}")
    if as_json is not None:
        write_json(figures, as_json)


def write_json(figures: Mapping[str, Any], place: Path) -> None:
    """Write `figures` to the file `place`, or print them if that is STDOUT."""
    text = json.dumps(figures)
    if place == STDOUT:
        print(text)
    else:
        place.write_text(text + "\n", "utf-8")
