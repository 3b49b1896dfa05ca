"""Results -> JSON: the one schema of every `--json` answer and of any other answer to a program.

Each function returns one object as a dict of text, numbers, booleans, None, lists and dicts.
Boxes are [left, top, right, bottom] in pixels, probabilities and shares lie between 0 and 1.
"""

import json
import math
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facesearch.detection import Face
    from facesearch.duplicates.enrolled import EnrolledFace, FaceTwice
    from facesearch.duplicates.photo_cache import PhotoFile
    from facesearch.duplicates.photos import PhotoReport
    from facesearch.duplicates.proposals import PeopleProposals
    from facesearch.duplicates.trash import Outcome
    from facesearch.evaluation.one_shot import Estimate
    from facesearch.evaluation.pictures import Pictures
    from facesearch.evaluation.report import Report
    from facesearch.gallery import Decision, Enrollment, IdentifiedPhoto, Neighbor, Verification
    from facesearch.gallery.migration import Migration
    from facesearch.identification import IdentifiedFace
    from facesearch.review.groups import Unnamed
    from facesearch.storage.rows import KnownFace, PersonRow

SCHEMA_VERSION = 1  # new keys keep the number; renaming or removing a key would need a new one
PERSON_KEYS = ("person", "photos", "templates", "enrolled_at")  # of `person_row`

Object = dict[str, Any]
PhotoPath = str | PathLike[str]


def to_json(**fields: Any) -> str:
    """Return one JSON object on one line, in ASCII, with the schema version.

    Raises ValueError for a number that is infinite or not a number.
    """
    return json.dumps({"schema_version": SCHEMA_VERSION, **fields}, allow_nan=False)


def finite(number: float | None) -> float | None:
    """Return `number` to six digits; None if it is infinite, not a number or None."""
    return None if number is None or not math.isfinite(number) else round(number, 6)


def rounded_box(box: Iterable[float]) -> list[float]:
    """Return a box to a hundredth of a pixel."""
    return [round(side, 2) for side in box]


def failures(pairs: Iterable[tuple[str, str]], key: str = "error") -> list[Object]:
    """Return (photo, reason) pairs of photos that were not used; `key` names the reason."""
    return [{"photo": photo, key: reason} for photo, reason in pairs]


# Enrolling, identifying, comparing


def enrollment(result: "Enrollment") -> Object:
    """Return the outcome for one photo to be enrolled."""
    return {
        "photo": result.photo,
        "person": result.person or None,
        "status": result.status,
        "remark": result.remark,
        "look_alikes": [
            {"person": person, "probability": round(probability, 6)}
            for person, probability in result.look_alikes
        ],
    }


def identified_photo(result: "IdentifiedPhoto") -> Object:
    """Return the people in one photo, or why it could not be read."""
    return {
        "photo": result.photo,
        "width": result.width,
        "height": result.height,
        "faces": [identified_face(face) for face in result.faces],
        "error": result.error,
        "remark": result.remark,
    }


def identified_face(face: "IdentifiedFace") -> Object:
    """Return one face with its candidates."""
    return {
        "box": rounded_box(face.box),
        "score": round(face.score, 4),
        "person": face.person,
        "probability": round(face.probability, 6),
        "unknown_probability": round(face.unknown_probability, 6),
        "margin": finite(face.margin),
        "alternatives": list(face.alternatives),
        "decided_by": face.decided_by,
        "dismissed_as": face.dismissed_as,
        "also_like": face.also_like
        and {
            "person": face.also_like.person,
            "probability": round(face.also_like.probability, 6),
        },
        "candidates": [
            {"person": candidate.person, "probability": round(candidate.probability, 6)}
            for candidate in face.candidates
        ],
    }


def verification(photo_a: PhotoPath, photo_b: PhotoPath, result: "Verification") -> Object:
    """Return whether two photos show one person."""
    return {
        "photo_a": str(photo_a),
        "photo_b": str(photo_b),
        "same": result.same,
        "probability": round(result.probability, 6),
        "llr": round(result.llr, 4),
    }


def search(photo: PhotoPath, faces: Iterable[tuple["Face", Sequence["Neighbor"]]]) -> Object:
    """Return the nearest enrolled faces to each face of a photo."""
    return {
        "photo": str(photo),
        "faces": [
            {
                "box": rounded_box(face.box),
                "score": round(face.score, 4),
                "neighbours": [
                    {"person": n.person, "score": round(n.score, 4), "photo": n.photo}
                    for n in neighbors
                ],
            }
            for face, neighbors in faces
        ],
    }


# People, decisions, groups without a name


def person_row(row: "PersonRow") -> Object:
    """Return a person of the list of people."""
    values = (row.name, row.photos, row.templates, row.created_at)
    return dict(zip(PERSON_KEYS, values, strict=True))


def person_faces(name: str, faces: Iterable[tuple[str | None, "KnownFace"]]) -> Object:
    """Return a person with their enrolled faces; a photo is None if its path was forgotten."""
    return {
        "person": name,
        "faces": [
            {
                "photo": path,
                "hash": face.content_hash,
                "box": rounded_box(face.shown),
                "assigned_by": face.assigned_by,
            }
            for path, face in faces
        ],
    }


def decision(made: "Decision") -> Object:
    """Return an entry of the history; `id` is None if nothing was stored."""
    return {
        "id": made.id,
        "made_at": made.made_at,
        "made_by": made.made_by,
        "kind": made.kind,
        "summary": made.summary,
        "photo": made.photo,
        "undoes": made.undoes,
        "undone_by": made.undone_by,
        "changed": made.changed,
    }


def unnamed(found: "Unnamed") -> Object:
    """Return the groups of faces without a name."""
    return {
        "groups": [
            {
                "group": group.id,
                "faces": [
                    {
                        "photo": face.photo,
                        "face": face.number,
                        "box": rounded_box(face.shown),
                        "score": round(face.score, 4),
                        "sha256": face.content_hash,
                    }
                    for face in group.faces
                ],
            }
            for group in found.groups
        ],
        "alone": found.alone,
        "enrolled": found.named,
        "dismissed": found.dismissed,
        "small": found.small,
        "photos": found.photos,
        "unreadable": failures(found.unreadable),
    }


# Duplicates


def duplicate_photos(report: "PhotoReport", outcome: "Outcome | None") -> Object:
    """Return the groups of photos of one picture; `outcome` if duplicates were moved."""
    return {
        "what": "photos",
        "photos": report.photos,
        "groups": [
            {
                "keep": photo_file(group.keeper),
                "duplicates": [
                    {
                        **photo_file(duplicate.file),
                        "score": round(duplicate.score, 6),
                        "sure": duplicate.sure,
                        "reason": duplicate.reason,
                    }
                    for duplicate in group.duplicates
                ],
            }
            for group in report.groups
        ],
        "doubtful": [
            {"photos": [first, second], "score": round(score, 6)}
            for first, second, score in report.doubtful
        ],
        "same_files": [{"photo": name, "is": file} for name, file in report.same_files],
        "unreadable": failures(report.unreadable),
        "applied": outcome and trash_outcome(outcome),
    }


def photo_file(file: "PhotoFile") -> Object:
    """Return a photo's file."""
    return {
        "photo": file.path,
        "sha256": file.content_hash,
        "bytes": file.state.size,
        "width": file.width,
        "height": file.height,
        "companions": list(file.companions),
    }


def trash_outcome(outcome: "Outcome") -> Object:
    """Return which photos were moved to the trash, or back, and which were left alone."""
    return {
        "trash": str(outcome.folder),
        "moved": list(outcome.moved),
        "left": failures(outcome.left, "reason"),
    }


def duplicate_people(found: "PeopleProposals", applied: "Decision | None") -> Object:
    """Return who may be one person or two; `applied` is the merge, if one was made."""
    twice = found.twice
    return {
        "what": "people",
        "people": twice.people,
        "at_least": found.at_least,
        "groups": [
            {
                "keep": group.keep,
                "merge": list(group.others),
                "probability": round(group.probability, 6),
                "sure": found.is_sure(group),
            }
            for group in twice.groups
        ],
        "expected_wrong": round(found.expected_wrong, 6),
        "pairs": [
            {
                "people": list(pair.people),
                "probability": round(pair.probability, 6),
                "same_name": pair.same_name,
                "grouped": pair.grouped,
            }
            for pair in twice.pairs
        ],
        "two_in_one": [
            {
                "person": two.person,
                "probability": round(two.probability, 6),
                "camps": [[enrolled_face(face) for face in camp] for camp in two.camps],
            }
            for two in found.two_in_one
        ],
        "applied": applied and decision(applied),
    }


def duplicate_faces(pairs: Iterable["FaceTwice"]) -> Object:
    """Return the pairs of enrolled faces that are one picture."""
    return {
        "what": "faces",
        "faces": [
            {
                "cosine": round(pair.cosine, 6),
                "faces": [enrolled_face(face) for face in pair.faces],
            }
            for pair in pairs
        ],
    }


def enrolled_face(face: "EnrolledFace") -> Object:
    """Return an enrolled face; its photo is None if the path was forgotten."""
    return {
        "person": face.person,
        "photo": face.photo,
        "hash": face.content_hash,
        "box": rounded_box(face.shown),
    }


# Galleries and models


def migration(done: "Migration", model: str) -> Object:
    """Return the outcome of a migration to `model`."""
    return {
        "former": done.former,
        "templates": done.templates,
        "left_out": [
            {"person": face.person, "photo": face.photo, "why": face.why} for face in done.left_out
        ],
        "model": model,
    }


def model(name_or_folder: str) -> Object:
    """Return what a model's manifest says about it; raises ModelError."""
    from facesearch.manifest import fingerprint_of, read_manifest
    from facesearch.shipped import DEFAULT, model_folder

    folder = model_folder(name_or_folder)
    manifest = read_manifest(folder)
    keys = ("name", "version", "kind", "detector", "dim", "licence", "figures")
    return {
        **{key: manifest.get(key) for key in keys},
        "search_dim": manifest.get("search_dim", manifest["dim"]),
        "default": folder == model_folder(DEFAULT),
        "fingerprint": fingerprint_of(manifest),
        "folder": str(folder),
    }


def evaluation(report: "Report", pictures: "Pictures") -> Object:
    """Return what was measured on a model; None where there is too little data for a figure."""
    fields: Object = {
        "pictures": len(pictures.crops),
        "classes": len(pictures.class_names),
        "groups": len(pictures.group_names),
        "pairs": len(report.pairs),
        "ways": report.ways,
        "fewest_ways": report.fewest_ways,
        "accuracy_at_even_odds": round(report.accuracy, 6),
    }
    for name, way in (("head", report.head), ("cosine", report.cosine)):
        fields |= {
            f"{name}_auc": round(way.auc, 6),
            f"{name}_eer": round(way.eer, 6),
            f"{name}_best_accuracy": round(way.best_accuracy, 6),
            f"{name}_tar_at_far_0.01": finite(way.tar_at(0.01)),
            f"{name}_tar_at_far_0.001": finite(way.tar_at(0.001)),
            f"{name}_roc": [[far, finite(tar)] for far, tar in way.roc],
            **_estimate(f"{name}_one_shot", way.one_shot),
            **_estimate(f"{name}_lake_400", way.lake),
        }
    return fields | {"skipped": [list(pair) for pair in pictures.skipped]}


def _estimate(key: str, estimate: "Estimate | None") -> Object:
    if estimate is None:
        return {key: None, f"{key}_interval": None}
    interval = [finite(estimate.low), finite(estimate.high)]
    return {key: finite(estimate.accuracy), f"{key}_interval": interval}
