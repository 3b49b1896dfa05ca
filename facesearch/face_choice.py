"""Faces of photos that all show one person -> which face in each photo is theirs.

A portrait has one face, so there is no question. In a group photo it is the face that the person's
other photos show too; without other photos, the largest. A face that the detector is unsure of is
never taken (below 0.65, YuNet sees faces where there are none).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facesearch.detection import Face
from facesearch.vectors import Floats, unit

SURE_SCORE = 0.8  # detector score from which a face among several is enrolled
SURE_SCORE_ALONE = 0.75  # the same for a photo's only face: all that YuNet reports
LARGEST_BY = 1.2  # a group's largest face is taken if it is this many times as high as the next
ALIKE = 0.30  # cosine below which a face does not look like the person's other photos


@dataclass(frozen=True, slots=True)
class Choice:
    """The index of the person's face among a photo's faces, or why none is theirs."""

    face: int | None
    remark: str | None  # the reason if `face` is None, else a warning if there is one


def choose_faces(
    photos: Sequence[tuple[list[Face], Floats]], reference: Floats | None
) -> list[Choice]:
    """Return one choice for each of `photos`, which all show one person.

    A photo is its faces, largest first, and their embeddings (n, dim). `reference` (dim,) is the
    mean of the person's enrolled templates, None for a new person.
    """
    eligible = [_eligible(faces) for faces, _ in photos]
    portraits = {
        number: embeddings[rows[0]]
        for number, ((_, embeddings), rows) in enumerate(zip(photos, eligible, strict=True))
        if len(rows) == 1
    }
    seeds = [] if reference is None else [reference] * max(1, len(portraits))
    if not seeds and not portraits:
        seeds = _consensus([emb[rows] for (_, emb), rows in zip(photos, eligible, strict=True)])
    choices = []
    for number, ((faces, embeddings), rows) in enumerate(zip(photos, eligible, strict=True)):
        if not rows:
            reason = "no face found" if not faces else "no face is clear enough"
            choices.append(Choice(None, reason))
            continue
        others = seeds + [portrait for place, portrait in portraits.items() if place != number]
        if not others:
            choices.append(_largest(faces, rows))
            continue
        likeness = embeddings[rows] @ unit(np.sum(others, axis=0))
        best = int(likeness.argmax())
        if len(rows) > 1 and likeness[best] < ALIKE:
            choices.append(
                Choice(None, f"none of the {len(rows)} faces looks like the other photos")
            )
        elif likeness[best] < ALIKE:
            choices.append(Choice(rows[best], "does not look like the person's other photos"))
        else:
            remark = f"took one of {len(rows)} faces: the one that matches the other photos"
            choices.append(Choice(rows[best], remark if len(rows) > 1 else None))
    return choices


def choose_wholes(photos: Sequence[list[Face]], subject: str) -> list[Choice]:
    """Return one choice for each of `photos`, each of one `subject` (drawing, picture) or nothing.

    There is nothing to choose, and ALIKE, measured on faces, does not apply.
    """
    return [Choice(0, None) if faces else Choice(None, f"no {subject} found") for faces in photos]


def agreement(photos: Sequence[tuple[list[Face], Floats]]) -> tuple[int, int]:
    """Return in how many `photos` somebody recurs most often, and how many show a clear face."""
    clear = [embeddings[rows] for faces, embeddings in photos if (rows := _eligible(faces))]
    return len(_consensus(clear)) or min(1, len(clear)), len(clear)


def _eligible(faces: Sequence[Face]) -> list[int]:
    limit = SURE_SCORE if len(faces) > 1 else SURE_SCORE_ALONE
    return [place for place, face in enumerate(faces) if face.score >= limit]


def _largest(faces: Sequence[Face], rows: Sequence[int]) -> Choice:
    """Return the largest face if it is clearly larger than the next."""
    if len(rows) == 1:
        return Choice(rows[0], None)
    first, second = (faces[row].height_px for row in rows[:2])
    if first < LARGEST_BY * second:
        return Choice(
            None, f"{len(rows)} faces of about the same size; crop the photo to the right one"
        )
    return Choice(rows[0], f"took the largest of {len(rows)} faces")


def _consensus(photos: Sequence[Floats]) -> list[Floats]:
    """Return the person in most photos, one embedding per photo; empty if nobody recurs."""
    best: tuple[float, list[Floats]] = (0.0, [])
    for number, embeddings in enumerate(photos):
        for embedding in embeddings:
            mates = [
                others[int((others @ embedding).argmax())]
                for place, others in enumerate(photos)
                if place != number and len(others) and (others @ embedding).max() >= ALIKE
            ]
            total = float(sum(mate @ embedding for mate in mates))
            if total > best[0]:
                best = (total, [embedding, *mates])
    return best[1]
