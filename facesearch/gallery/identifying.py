"""Photos -> who is in them, by the gallery as it is now."""

import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.detection import Face
from facesearch.errors import FaceError, PhotoError
from facesearch.gallery.session import Session
from facesearch.identification import (
    IdentifiedFace,
    Seen,
    Verdicts,
    look,
    look_again,
    name_faces,
)
from facesearch.manifest import subject
from facesearch.model import Model
from facesearch.parallel import in_order
from facesearch.photo import read_photo


@dataclass(frozen=True, slots=True)
class IdentifiedPhoto:
    """Who is in a photo; `error` says why if it could not be read, `remark` if not as usual."""

    photo: str
    width: int
    height: int
    faces: tuple[IdentifiedFace, ...]
    error: str | None = None
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether two photos show one person, or one class."""

    same: bool
    probability: float  # at the prior of the model's calibration, 1/2
    llr: float


@dataclass(frozen=True, slots=True)
class Neighbor:
    """An enrolled face near a probe's, with no name decided."""

    person: str
    photo: str | None
    score: float  # cosine of the search codes: 1 for the same; strangers', the model decides


def identify(
    session: Session,
    photos: Iterable[str | os.PathLike[str]],
    fpir: float,
    prior: float,
    workers: int,
) -> Iterator[IdentifiedPhoto]:
    """Yield who is in each of `photos`; see `Gallery.identify`."""
    for rate in (fpir, prior):
        if not 0 < rate < 1:
            raise ValueError(f"a rate lies between 0 and 1, not at {rate}")
    preload = threading.Thread(target=session.live.preload)
    preload.start()  # 0.2 s, while the first photo is decoded
    for path, seen in in_order(lambda photo: probe(session.model, photo), photos, workers):
        preload.join()
        if isinstance(seen, Seen):
            session.kept(seen.picture, path)
            faces = tuple(identify_faces(session, seen, fpir, prior))
            yield IdentifiedPhoto(str(path), seen.width, seen.height, faces, remark=seen.remark)
        else:
            yield IdentifiedPhoto(str(path), 0, 0, (), str(seen))


def probe(model: Model, path: str | os.PathLike[str]) -> Seen | PhotoError:
    """Return what a photo shows, or why it cannot be read."""
    try:
        return look(read_photo(path), model)
    except PhotoError as error:
        return error


def identify_faces(session: Session, seen: Seen, fpir: float, prior: float) -> list[IdentifiedFace]:
    """Return who the faces of one photo are."""
    kept = session.kept(seen.picture)
    with session.live.reading() as view:
        candidates = view.candidates(seen.embeddings)
        names = session.store.people.names_of({p for found in candidates for p in found})
        said = session.store.verdicts.of_photo(kept.key)
        verdicts = Verdicts(*said.by_place([kept.box(face.box) for face in seen.faces]))
        strangers = view.strangers
    return name_faces(
        seen,
        candidates,
        names,
        strangers,
        session.model,
        fpir=fpir,
        prior=prior,
        verdicts=verdicts,
    )


def search(session: Session, photo: Path, k: int) -> list[tuple[Face, list[Neighbor]]]:
    """Return for each face of `photo` the `k` nearest enrolled faces; see `Gallery.search`."""
    seen = look(read_photo(photo), session.model)
    with session.live.reading() as view:
        matches = view.index.search(session.model.search_codes(seen.embeddings), k)
        ids = np.unique(matches.ids[matches.ids >= 0])
        stored = {i: (face.person, path) for i, path, face in session.store.faces.of_templates(ids)}
    return [
        (
            face,
            [
                Neighbor(*stored[i], score=float(score))
                for i, score in zip(row.tolist(), scores, strict=True)
                if i in stored
            ],
        )
        for face, row, scores in zip(seen.faces, matches.ids, matches.scores, strict=True)
    ]


def verify(
    model: Model, photo_a: str | os.PathLike[str], photo_b: str | os.PathLike[str]
) -> Verification:
    """Return whether two photos show one person, or one class, by the model's head.

    Of several faces the largest counts. Raises PhotoError if a photo cannot be read, FaceError if
    it shows no face, or no drawing.
    """
    seen = []
    for path in (photo_a, photo_b):
        seen.append(look(read_photo(path), model))
        if not seen[-1].faces:
            raise FaceError(f"{path}: no {subject(model.manifest)} found")
    return compare(model, (seen[0], 0), (seen[1], 0))


def compare(model: Model, a: tuple[Seen, int], b: tuple[Seen, int]) -> Verification:
    """Return whether two faces are of one person, or one class: a photo and a face's place each.

    Both are looked at again, since there are only two: the photos' crops have to be at hand.
    """
    first, second = (
        look_again(model, seen.crops[[place]], seen.embeddings[[place]])[0]
        for seen, place in (a, b)
    )
    llr = float(model.compare(first, second[None])[0])
    return Verification(same=llr > 0, probability=float(1 / (1 + np.exp(-llr))), llr=llr)
