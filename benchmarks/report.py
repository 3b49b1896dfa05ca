"""Where the data lies, and how every benchmark prints: a table, or with --json one flat object."""

import argparse
import json
import os
import sys
from pathlib import Path


def parse_arguments(description: str | None) -> argparse.Namespace:
    """Return the command line of a benchmark; `data` is the folder of the research data."""
    here = Path(__file__).resolve().parent.parent
    data = Path(os.environ.get("FACESEARCH_DATA", here.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one flat object of figures")
    parser.add_argument("--data", type=Path, default=data, help="default: $FACESEARCH_DATA")
    return parser.parse_args()


def need(folder: Path) -> Path:
    """Return `folder`, or end with a sentence where it is absent."""
    if not folder.is_dir():
        sys.exit(f"there is no data at {folder}; set FACESEARCH_DATA to its parent")
    return folder


def show(figures: dict[str, float], title: str, *, as_json: bool) -> None:
    """Print `figures` as a table of two columns, or as one JSON object."""
    if as_json:
        print(json.dumps(figures))
        return
    print(title)
    for name, figure in figures.items():
        print(f"  {name:44} {figure:>10g}")
