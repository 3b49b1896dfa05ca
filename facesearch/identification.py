"""Photo -> people: the whole pipe on one screen.

photo -> faces -> crops -> embeddings                    `look`
      -> candidates                                      `find_candidates` in candidates.py
      -> scores (head) -> people or unknown (assignment) `name_faces`
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
from facesearch.pictures import Picture
from facesearch.vectors import Floats, unit

REFERENCE_VIEWS = 2  # a reference is the mean embedding of so many views of its crop
BORDERLINE_VIEWS = 4  # a probe near the threshold is embedded from more views
BORDERLINE_SD = 0.5  # a best score this close to the threshold, in standard deviations, is near it
NO_CROPS = np.zeros((0, 0, 0, 3), np.uint8)  # crops are not at hand: no face is looked at again
AMBIGUOUS_ODDS = 3.0  # a name has to be this many times likelier than the runner-up


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a photo shows before anybody is named: n faces, largest first."""

    picture: Picture
    faces: list[Face]
    crops: NDArray[np.uint8]  # (n, side, side, 3) RGB, of the model's side; or NO_CROPS
    embeddings: Floats  # (n, dim) unit rows
    remark: str | None = None  # see `Photo.remark`

    @property
    def width(self) -> int:
        """Of the whole photo as shown, in pixels."""
        return self.picture.width

    @property
    def height(self) -> int:
        """Of the whole photo as shown, in pixels."""
        return self.picture.height

    def only(self, *places: int) -> "Seen":
        """Return the same photo with just the faces at `places`, as copies."""
        some = list(places)
        faces = [self.faces[place] for place in some]
        return replace(self, faces=faces, crops=self.crops[some], embeddings=self.embeddings[some])


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
    also_like: Candidate | None = None  # likeliest, but named in this photo already: mirror, twin

    @property
    def probably(self) -> Candidate | None:
        """Who is likelier than a stranger, yet below the limit for a name; None if nobody is."""
        if self.person or self.alternatives or self.also_like or not self.candidates:
            return None
        first = self.candidates[0]
        return first if first.probability > self.unknown_probability else None

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
    return Seen(photo.picture, faces, crops, embeddings, photo.remark)


def cut(photo: Photo, faces: Sequence[Face], model: Model) -> NDArray[np.uint8]:
    """Return the crops (n, side, side, 3) of `faces` (n) of `photo`, as `model` embeds them.

    Raises PhotoError, and FaceError if the photo shows no drawing.
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
    model: Model, crops: NDArray[np.uint8], embeddings: Floats, views: int = BORDERLINE_VIEWS
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


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What humans said of the faces of one photo; keys are places in `Seen.faces`."""

    named: Mapping[int, str] = field(default_factory=dict)  # that name, and nobody else has it
    rejected: Mapping[int, Collection[int]] = field(default_factory=dict)  # not these person ids
    dismissed: Mapping[int, str] = field(default_factory=dict)  # "stranger" or "no face"


def compare(
    probe: Floats, references: Sequence[Floats], strangers: Strangers, model: Model
) -> tuple[Floats, Floats]:
    """Return the head's scores (n,) of `probe` (dim,) with n references, and their standard scores.

    Probe and references are those of the gallery to which `strangers` was fitted.
    """
    centered = strangers.centered(np.stack(references))
    scores = model.head.scores(strangers.centered(probe), centered)
    return scores, strangers.standard(scores)


def is_borderline(best: Floats, threshold: float) -> NDArray[np.bool_]:
    """Return whether each best standard score lies so close to the threshold that more views pay.

    See `look_again`.
    """
    return np.asarray(np.abs(best - threshold) < BORDERLINE_SD)


def name_faces(
    seen: Seen,
    candidates: Sequence[Mapping[int, Floats]],
    names: Mapping[int, str],
    strangers: Strangers,
    model: Model,
    *,
    fpir: float,
    prior: float,
    verdicts: Verdicts,
) -> list[IdentifiedFace]:
    """Return who each face of `seen` is, each person at most once.

    `candidates` gives for each face person id -> reference (dim,), see `find_candidates`; `names`
    gives their names. A face that a human named keeps its name, and a dismissed one gets none.
    A face that looks most like somebody who is named in the photo already gets no name; its
    probabilities are those it would have if that name were free, see `IdentifiedFace.also_like`.
    People whom a human rejected for a face count for it as if they were not enrolled.
    """
    candidates = [
        {
            person: reference
            for person, reference in people.items()
            if face not in verdicts.dismissed and person not in verdicts.rejected.get(face, ())
        }
        for face, people in enumerate(candidates)
    ]
    threshold = strangers.threshold(fpir)
    table = _compare_all(seen, candidates, threshold, strangers, model)
    taken = set(verdicts.named.values())
    free = np.array([names[person] not in taken for person in table.people], bool)
    assigned = _assign(table, free, threshold, verdicts, model)
    faces = []
    for place, face in enumerate(seen.faces):
        if place in verdicts.named:
            faces.append(_named_by_a_human(face, verdicts.named[place]))
            continue
        if place in verdicts.dismissed:
            faces.append(_dismissed(face, verdicts.dismissed[place]))
            continue
        evidence = _Evidence(
            [names[person] for person in table.people],
            _llrs_beside_the_others(table, place, assigned, free, model),
            table.scores[place],
            table.z[place] >= threshold,
        )
        n_people = strangers.people - len(verdicts.rejected.get(place, ()))
        result = _identified(face, evidence, int(assigned[place]), n_people, prior)
        if result.person is None and not result.alternatives:
            alone = replace(evidence, llrs=_llrs(table.z[place], model))
            freed = _identified(face, alone, -1, n_people, prior)
            given = taken | {names[table.people[column]] for column in assigned if column >= 0}
            if freed.probably is not None and freed.probably.person in given:
                result = replace(freed, also_like=freed.probably)
        faces.append(result)
    return faces


def _llrs(z: Floats, model: Model) -> Floats:
    """Return the llr of each standard score; -inf where nobody was compared."""
    return np.where(np.isfinite(z), model.evidence.llr(z), -np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class _ScoreTable:
    """The faces of one photo compared with their candidates: rows are faces, columns people."""

    people: list[int]  # m person ids
    scores: Floats  # (n, m) the head's; -inf where the person is no candidate of the face
    z: Floats  # (n, m) the same as standard scores


def _compare_all(
    seen: Seen,
    candidates: Sequence[Mapping[int, Floats]],
    threshold: float,
    strangers: Strangers,
    model: Model,
) -> _ScoreTable:
    """Return the scores of all faces with their candidates, borderline faces seen in more views."""
    people = list(dict.fromkeys(person for found in candidates for person in found))
    column = {person: place for place, person in enumerate(people)}
    scores = np.full((len(seen.faces), len(people)), -np.inf, np.float32)
    z = scores.copy()

    def fill(row: int, embedding: Floats) -> None:
        columns = [column[person] for person in candidates[row]]
        references = list(candidates[row].values())
        scores[row, columns], z[row, columns] = compare(embedding, references, strangers, model)

    compared = [row for row, found in enumerate(candidates) if found]
    for row in compared:
        fill(row, seen.embeddings[row])
    close = [row for row in compared if is_borderline(z[row].max(), threshold)]
    if close and len(seen.crops):
        closer_looks = look_again(model, seen.crops[close], seen.embeddings[close])
        for row, embedding in zip(close, closer_looks, strict=True):
            fill(row, embedding)
    return _ScoreTable(people, scores, z)


def _assign(
    table: _ScoreTable,
    free: NDArray[np.bool_],
    threshold: float,
    verdicts: Verdicts,
    model: Model,
) -> NDArray[np.intp]:
    """Return for each face the column of the person it is given to, -1 for nobody."""
    gains = np.where(free & (table.z >= threshold), model.evidence.llr(table.z), -np.inf)
    # above the threshold everything is worth taking: count from there
    gains -= model.evidence.llr(np.array(threshold, np.float32)) - 1e-3
    gains[list(verdicts.named)] = -np.inf
    return assign(gains.astype(np.float64))


def _llrs_beside_the_others(
    table: _ScoreTable,
    place: int,
    assigned: NDArray[np.intp],
    free: NDArray[np.bool_],
    model: Model,
) -> Floats:
    """Return a face's llr for each person, less for those assigned to another face of the photo."""
    llrs = _llrs(table.z[place], model)
    for other, column in enumerate(assigned):
        # the surer that a person is elsewhere in this photo, the less likely they are here
        if column >= 0 and other != place:
            elsewhere = model.evidence.llr(table.z[other, column])
            llrs[column] = llrs[column] - np.logaddexp(0.0, elsewhere)
    llrs[~free] = -np.inf
    return llrs


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """What is known of one face: parallel arrays over the people of the score table."""

    names: list[str]
    llrs: Floats  # -inf: not compared
    scores: Floats
    admitted: NDArray[np.bool_]  # at or above the threshold


def _identified(
    face: Face, evidence: _Evidence, column: int, n_people: int, prior: float
) -> IdentifiedFace:
    """Return the result of a face that no human decided about; `column` is of who is assigned."""
    names, llrs = evidence.names, evidence.llrs
    compared = [i for i in np.argsort(-llrs, kind="stable") if np.isfinite(llrs[i])]
    probabilities, unknown = posterior(llrs[compared], n_people, prior)
    candidates = tuple(
        Candidate(names[i], float(p), float(llrs[i]), float(evidence.scores[i]))
        for i, p in zip(compared, probabilities, strict=True)
    )
    of_name = {c.person: c.probability for c in candidates}
    person = names[column] if column >= 0 else None
    alternatives: tuple[str, ...] = ()
    if person is not None:
        rivals = [
            names[i]
            for i in compared
            if evidence.admitted[i]
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


def _named_by_a_human(face: Face, name: str) -> IdentifiedFace:
    sure = Candidate(name, 1.0, float("inf"), 1.0)
    return IdentifiedFace(face.box, face.score, name, 1.0, 0.0, (sure,), (), "human")


def _dismissed(face: Face, verdict: str) -> IdentifiedFace:
    return IdentifiedFace(
        face.box, face.score, None, 0.0, 1.0, (), (), "human", dismissed_as=verdict
    )
