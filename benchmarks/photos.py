"""Whole photos: group pictures, single pictures and detection, from enrollment to names.

    python -m benchmarks.photos [--model NAME] [--json [FILE]]

`photos/` of the data folder: 63 people enrolled by one to five photos each, 36 group photos with
92 enrolled and 50 unknown faces, 85 single photos, 43 photos with 639 boxed faces. Defaults of the
command line is in force. A box finds a face if its center lies within half the face's size of the
face's center, each face at most once; optional faces count neither way.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.report import argument_parser, need, show
from facesearch import Gallery, Model
from facesearch.engine import engine_for_many
from facesearch.photo import read_photo

Box = tuple[float, float, float, float]


def pair_up(faces: list[dict[str, Any]], boxes: list[Box]) -> dict[int, int]:
    """Return box -> labelled face, nearest pairs first, for boxes that find a face."""
    near = []
    for number, face in enumerate(faces):
        for place, (left, top, right, bottom) in enumerate(boxes):
            dx = abs((left + right) / 2 - face["cx"])
            dy = abs((top + bottom) / 2 - face["cy"])
            if dx < face["w"] / 2 and dy < face["h"] / 2:
                near.append((dx + dy, place, number))
    pairs: dict[int, int] = {}
    for _, place, number in sorted(near):
        if place not in pairs and number not in pairs.values():
            pairs[place] = number
    return pairs


def detection(model: Model, folder: Path, photos: dict[str, Any]) -> dict[str, float]:
    """Return how many of the labelled faces are found, and boxes where there is none."""
    labelled = found = false = 0
    for name, truth in photos.items():
        if truth["kind"] != "faces" or truth["faces_required"] is None:
            continue
        boxes = [face.box for face in model.detector.detect(read_photo(folder / name))]
        pairs = pair_up(truth["faces"], boxes)
        required = {i for i, face in enumerate(truth["faces"]) if not face.get("optional")}
        labelled += len(required)
        found += len(required & set(pairs.values()))
        false += len(boxes) - len(pairs)
    return {"faces": labelled, "faces_found": found, "false_boxes": false}


def groups(gallery: Gallery, folder: Path, photos: dict[str, Any]) -> dict[str, float]:
    """Return how many names of the group photos are right, and how many given ones are wrong."""
    named = {name: truth for name, truth in photos.items() if truth["kind"] == "named"}
    right = wrong = expected = unknown = 0
    results = gallery.identify([folder / name for name in named], workers=os.cpu_count() or 1)
    for truth, result in zip(named.values(), results, strict=True):
        faces = truth["faces"]
        expected += sum(bool(face.get("name")) for face in faces)
        unknown += sum(not face.get("name") and not face.get("optional") for face in faces)
        pairs = pair_up(faces, [face.box for face in result.faces])
        for place, face in enumerate(result.faces):
            label = faces[pairs[place]] if place in pairs else {}
            if face.person is None or face.person in truth.get("names_maybe", []):
                continue
            if label.get("name") == face.person:
                right += 1
            else:
                wrong += 1
    return {
        "group_names": expected,
        "group_unknown_faces": unknown,
        "group_names_right": right,
        "group_names_wrong": wrong,
    }


def singles(gallery: Gallery, folder: Path, photos: dict[str, Any]) -> dict[str, float]:
    """Return how many of the single photos' people are named, and how many names are wrong."""
    alone = {name: truth for name, truth in photos.items() if truth["kind"] == "single"}
    right = wrong = 0
    results = gallery.identify([folder / name for name in alone], workers=os.cpu_count() or 1)
    for truth, result in zip(alone.values(), results, strict=True):
        given = {face.person for face in result.faces if face.person}
        right += len(given & set(truth["names"]))
        wrong += len(given - set(truth["names"]) - set(truth.get("names_maybe", [])))
    return {
        "single_names": sum(len(truth["names"]) for truth in alone.values()),
        "single_names_right": right,
        "single_names_wrong": wrong,
    }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", default="default", help="name or folder")
    arguments = parser.parse_args()
    folder = need(arguments.data / "photos")
    truth = json.loads((folder / "expected.json").read_text("utf-8"))
    model = Model.load(arguments.model, engine=engine_for_many())
    with tempfile.TemporaryDirectory() as place, Gallery(place, model) as gallery:
        wanted = [(name, folder / p) for name, paths in truth["people"].items() for p in paths]
        enrolled = list(gallery.enroll(wanted, workers=os.cpu_count() or 1))
        figures: dict[str, float] = {
            "photos_to_enroll": len(wanted),
            "photos_enrolled": sum(photo.status == "enrolled" for photo in enrolled),
        }
        figures |= groups(gallery, folder, truth["groups"])
        figures |= singles(gallery, folder, truth["groups"])
        figures |= detection(model, folder, truth["groups"])
    show(figures, "Photos, end to end, at the default --fpir 0.01", as_json=arguments.json)


if __name__ == "__main__":
    main()
