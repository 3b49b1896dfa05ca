"""Groups of faces without a name in a folder with crowds: how good the first are, and how steady.

    python -m benchmarks.groups [--model NAME] [--json [FILE]]

`photos/` of the data folder: 119 photos of 63 people and 166 group photos, crowds among them,
looked at as `facesearch cluster` does, with nobody enrolled. A face has a label if the data say who
it is: the boxed names of group photos, and the largest face of a photo of one person.

- `first_right`: of the first 50 groups, those with two labelled faces or more, all of one person.
- `first_wrong`: those with labelled faces of two people.
- `first_untold`: the rest, which the labels do not tell; most are faces of crowds.
- `first_small`: those of the 50 whose faces are mostly under 32 pixels.
- `..._crowds`: the same of the 166 group photos alone.
- `parted`: pairs of faces that were in one group, and are in two when the three largest groups have
  been named. Only faces that are still without a name count.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.photos import pair_up
from benchmarks.report import argument_parser, need, show
from facesearch import Gallery, Model
from facesearch.engine import engine_for_many

if TYPE_CHECKING:
    from facesearch.review.groups import UnnamedFace, UnnamedGroup

FIRST, NAMED = 50, 3  # groups
SMALL_PX = 32

Place = tuple[str, tuple[float, ...]]  # photo, box


def height(face: "UnnamedFace") -> float:
    return face.box[3] - face.box[1]


def labels_of(
    groups: Sequence["UnnamedGroup"], folder: Path, truth: dict[str, Any]
) -> dict["UnnamedFace", str]:
    """Return who the faces in `groups` are, as far as the data tell."""
    faces: dict[str, list[UnnamedFace]] = {}
    for group in groups:
        for face in group.faces:
            faces.setdefault(face.photo, []).append(face)
    alone = {path: name for name, paths in truth["people"].items() for path in paths}
    for path, told in truth["groups"].items():
        if told["kind"] == "single" and len(told["names"]) == 1:
            alone[path] = told["names"][0]
    labels: dict[UnnamedFace, str] = {}
    for path, name in alone.items():
        if found := faces.get(str(folder / path)):
            labels[max(found, key=height)] = name
    for path, told in truth["groups"].items():
        found = faces.get(str(folder / path), [])
        if told["kind"] == "named":
            for place, number in pair_up(told["faces"], [face.box for face in found]).items():
                if name := told["faces"][number].get("name"):
                    labels[found[place]] = name
    return labels


def judged(
    groups: Sequence["UnnamedGroup"], folder: Path, truth: dict[str, Any]
) -> dict[str, float]:
    """Return how many of the first of `groups` are right."""
    labels = labels_of(groups, folder, truth)
    kinds: Counter[str] = Counter()
    for group in groups[:FIRST]:
        names = [labels[face] for face in group.faces if face in labels]
        if len(set(names)) > 1:
            kinds["wrong"] += 1
        else:
            kinds["right" if len(names) > 1 else "untold"] += 1
        kinds["small"] += median(map(height, group.faces)) < SMALL_PX
    return {f"first_{kind}": kinds[kind] for kind in ("right", "wrong", "untold", "small")}


def together(groups: Sequence["UnnamedGroup"]) -> set[tuple[Place, Place]]:
    """Return the pairs of faces that share a group."""
    pairs: set[tuple[Place, Place]] = set()
    for group in groups:
        places = sorted((face.photo, face.box) for face in group.faces)
        pairs.update(combinations(places, 2))
    return pairs


def steadiness(gallery: Gallery, photos: list[Path]) -> dict[str, float]:
    """Return what naming the largest groups does to the others."""
    workers = os.cpu_count() or 1
    before = gallery.review.cluster(photos, workers=workers).groups
    largest = sorted(before, key=lambda group: -len(group.faces))[:NAMED]
    for group in largest:
        gallery.review.name_group(group, f"Person {group.id}", workers=workers)
    after = gallery.review.cluster(photos, workers=workers).groups
    left = {(face.photo, face.box) for group in after for face in group.faces}
    pairs = {pair for pair in together(before) if left.issuperset(pair)}
    return {
        "groups": len(before),
        "groups_after_naming": len(after),
        "parted": len(pairs - together(after)),
    }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", default="default", help="name or folder")
    arguments = parser.parse_args()
    folder = need(arguments.data / "photos")
    truth = json.loads((folder / "expected.json").read_text("utf-8"))
    model = Model.load(arguments.model, engine=engine_for_many())
    crowds = [folder / path for path in truth["groups"]]
    everything = [folder / path for paths in truth["people"].values() for path in paths] + crowds
    with tempfile.TemporaryDirectory() as place, Gallery(place, model) as gallery:
        workers = os.cpu_count() or 1
        found = gallery.review.cluster(everything, workers=workers).groups
        figures = judged(found, folder, truth)
        some = gallery.review.cluster(crowds, workers=workers).groups
        figures |= {f"{k}_crowds": v for k, v in judged(some, folder, truth).items()}
        figures |= steadiness(gallery, everything)
    show(figures, "Groups of faces without a name", as_json=arguments.json)


if __name__ == "__main__":
    main()
