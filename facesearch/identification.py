"""Photo -> people: the whole pipe on one screen.

photo -> faces -> crops -> embeddings            `look`
      -> candidates (FAISS) -> pair scores (head) -> people or unknown (assignment)   `name_faces`
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facesearch.alignment import face_crops
from facesearch.detection import Face
from facesearch.embedding import average_views
from facesearch.errors import FaceError
from facesearch.ink import picture_crop
from facesearch.manifest import mirrors, subject
from facesearch.model import Model
from facesearch.openset import Strangers, assign, posterior
from facesearch.photo import Photo
from facesearch.vectors import Floats, unit

REFERENCE_VIEWS, OPEN_VIEWS = 2, 4  # of a reference, and of a face where the matter is open
SECOND_LOOK = 0.5  # standard deviations around the threshold: there it is open
NO_CROPS = np.zeros((0, 0, 0, 3), np.uint8)  # they are not at hand: nothing is looked at again
AMBIGUOUS_ODDS = 3.0  # a name has to be this many times likelier than the runner-up


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a photo shows before anybody is named: n faces, largest first."""

    content_hash: str
    width: int  # of the whole photo, in pixels
    height: int
    faces: list[Face]
    crops: NDArray[np.uint8]  # (n, side, side, 3) RGB, of the model's side; or NO_CROPS
    embeddings: Floats  # (n, dim) unit rows


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person of the gallery who may be the one in the photo."""

    person: str
    probability: float
    llr: float  # log-likelihood ratio: evidence for this person against a stranger, in nats
    score: float  # the head's, see L1SigmoidHead.scores


@dataclass(frozen=True, slots=True)
class IdentifiedFace:
    """A face and what is known of whose it is; boxes as in facesearch.detection."""

    box: tuple[float, float, float, float]
    score: float  # the detector's
    person: str | None  # None: unknown
    probability: float  # of `person`; of the first candidate where that is None
    unknown_probability: float
    candidates: tuple[Candidate, ...]  # most alike first
    alternatives: tuple[str, ...]  # two or more names where the choice would be a coin toss
    decided_by: str  # "machine" or "human"
    dismissed_as: str | None = None  # "stranger", "no face": nobody is to be named, a human said

    @property
    def margin(self) -> float:
        """How far the first candidate is ahead of the runner-up, in nats; infinite if alone."""
        llrs = [candidate.llr for candidate in self.candidates[:2]]
        return llrs[0] - llrs[1] if len(llrs) == 2 else float("inf")


def look(photo: Photo, model: Model, *, as_reference: bool = False) -> Seen:
    """Return the faces of `photo` with their crops and embeddings.

    `as_reference` makes them of REFERENCE_VIEWS, for faces that are compared with often. Raises
    PhotoError.
    """
    faces = model.detector.detect(photo)
    crops = cut(photo, faces, model)
    embeddings = model.embed(crops)
    if as_reference and len(faces):
        embeddings = look_again(model, crops, embeddings, REFERENCE_VIEWS)
    return Seen(photo.content_hash, photo.width, photo.height, faces, crops, embeddings)


def cut(photo: Photo, faces: Sequence[Face], model: Model) -> NDArray[np.uint8]:
    """Return the crops (n, side, side, 3) of `faces` (n) of `photo`, as `model` embeds them.

    Raises PhotoError; FaceError for a drawing that is not on the photo, which is none that the
    model's detector found there.
    """
    if subject(model.manifest) == "face":
        return face_crops(photo, faces)
    side = int(model.manifest["input"]["side_px"])
    crops = np.zeros((len(faces), side, side, 3), np.uint8)
    for crop in crops:  # at most one: the detector takes the whole photo
        found = picture_crop(photo, model.manifest["alignment"], side)
        if found is None:
            raise FaceError(f"{photo.name}: no drawing found")
        crop[:] = found
    return crops


def referenced(seen: Seen, place: int, model: Model) -> Seen:
    """Return `seen` with the embedding of the face at `place` made as that of a reference."""
    one, embeddings = [place], seen.embeddings.copy()
    embeddings[one] = look_again(model, seen.crops[one], seen.embeddings[one], REFERENCE_VIEWS)
    return replace(seen, embeddings=embeddings)


def look_again(
    model: Model, crops: NDArray[np.uint8], embeddings: Floats, views: int = OPEN_VIEWS
) -> Floats:
    """Return embeddings (n, dim) of a closer look at `crops` (n, side, side, 3), of so many views.

    What it is and where it pays: `average_views`, docs/decisions/0006-a-closer-look.md. A
    drawing is cut without landmarks, and where the model says that its mirror image shows something
    else, as of a letter, its embedding stays.
    """
    if subject(model.manifest) == "face":
        return average_views(model.embed, model.detector, crops, embeddings, views)
    if mirrors(model.manifest):
        return unit(embeddings + model.embed(crops[:, :, ::-1]))
    return embeddings


def name_faces(
    seen: Seen,
    people: Sequence[Mapping[int, Floats]],
    names: Mapping[int, str],
    strangers: Strangers,
    model: Model,
    *,
    fpir: float,
    prior: float,
    decided: Mapping[int, str],
    rejected: Mapping[int, Collection[int]] | None = None,
    dismissed: Mapping[int, str] | None = None,
) -> list[IdentifiedFace]:
    """Return who each face of `seen` is, one person at most once.

    `people` gives for each face its candidates from the index: person id -> reference (dim,), the
    mean of that person's templates; `names` gives their names. `decided` names faces (by their
    place in `seen.faces`) that a human named: they keep that name and nobody else gets it.
    `rejected` gives the people of whom a human said that a face is not them: for that face they
    are as if they were not enrolled. `dismissed` says "stranger" or "no face" of those at
    whom a human said that nobody is to be named: they take no name from the others.
    """
    rejected, dismissed = rejected or {}, dismissed or {}
    people = [
        {
            p: reference
            for p, reference in candidates.items()
            if row not in dismissed and p not in rejected.get(row, ())
        }
        for row, candidates in enumerate(people)
    ]
    order = list(dict.fromkeys(person for candidates in people for person in candidates))
    z = np.full((len(seen.faces), len(order)), -np.inf, np.float32)
    scores = np.full_like(z, -np.inf)
    threshold = strangers.threshold(fpir)

    def compare(row: int, embedding: Floats) -> None:
        references = strangers.centred(np.stack(list(people[row].values())))
        places = [order.index(person) for person in people[row]]
        scores[row, places] = model.head.scores(strangers.centred(embedding), references)
        z[row, places] = strangers.standard(scores[row, places])

    compared = [row for row, candidates in enumerate(people) if candidates]
    for row in compared:
        compare(row, seen.embeddings[row])
    close = [row for row in compared if abs(z[row].max() - threshold) < SECOND_LOOK]
    if close and len(seen.crops):
        again = look_again(model, seen.crops[close], seen.embeddings[close])
        for row, embedding in zip(close, again, strict=True):
            compare(row, embedding)
    taken = set(decided.values())
    free = np.array([names[person] not in taken for person in order], bool)
    gains = np.where(free & (z >= threshold), model.evidence.llr(z), -np.inf)
    # above the threshold everything is worth taking: count from there
    gains -= model.evidence.llr(np.array(threshold, np.float32)) - 1e-3
    gains[list(decided)] = -np.inf
    assigned = assign(gains.astype(np.float64))
    faces = []
    for row, face in enumerate(seen.faces):
        if row in decided:
            name = decided[row]
            sure = Candidate(name, 1.0, float("inf"), 1.0)
            faces.append(IdentifiedFace(face.box, face.score, name, 1.0, 0.0, (sure,), (), "human"))
            continue
        if row in dismissed:
            faces.append(
                IdentifiedFace(
                    *(face.box, face.score, None, 0.0, 1.0, (), (), "human"),
                    dismissed_as=dismissed[row],
                )
            )
            continue
        llrs = np.where(np.isfinite(z[row]), model.evidence.llr(z[row]), -np.inf)
        for other, column in enumerate(assigned):
            # who is elsewhere in this photo is less likely here, by how sure that is
            if column >= 0 and other != row:
                mine = llrs[column]
                llrs[column] = mine - np.logaddexp(0.0, model.evidence.llr(z[other, column]))
        llrs[~free] = -np.inf
        faces.append(
            _identified(
                face,
                llrs,
                scores[row],
                [names[p] for p in order],
                int(assigned[row]),
                people=strangers.people - len(rejected.get(row, ())),
                prior=prior,
                admitted=z[row] >= threshold,
            )
        )
    return faces


def _identified(
    face: Face,
    llrs: Floats,
    scores: Floats,
    names: Sequence[str],
    column: int,
    *,
    people: int,
    prior: float,
    admitted: NDArray[np.bool_],
) -> IdentifiedFace:
    """Return one face's result from its evidence for each of `names` (-inf: not compared)."""
    compared = [i for i in np.argsort(-llrs, kind="stable") if np.isfinite(llrs[i])]
    probabilities, unknown = posterior(llrs[compared], people, prior)
    candidates = tuple(
        Candidate(names[i], float(p), float(llrs[i]), float(scores[i]))
        for i, p in zip(compared, probabilities, strict=True)
    )
    of_name = {c.person: c.probability for c in candidates}
    person = names[column] if column >= 0 else None
    alternatives: tuple[str, ...] = ()
    if person is not None:
        rivals = [
            names[i]
            for i in compared
            if admitted[i]
            and names[i] != person
            and of_name[names[i]] * AMBIGUOUS_ODDS > of_name[person]
        ]
        if rivals:
            alternatives = (person, *rivals)
            person = None
    probability = of_name[person] if person else max(of_name.values(), default=0.0)
    return IdentifiedFace(
        face.box, face.score, person, probability, unknown, candidates, alternatives, "machine"
    )
