"""A gallery -> its proposals by name, with photos: same person, two people, same face.

`same_person`, `two_people` and `same_face` propose by id; this file asks them about a gallery and
leaves out what a human has decided.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from facesearch.boxes import Box, FacePlace
from facesearch.duplicates.judge import (
    USUAL_SHARE,
    Enrolled,
    Judge,
    judge_of,
    log_odds,
    pair_llrs,
    sigmoid,
    sum_by_person,
)
from facesearch.duplicates.same_face import same_faces
from facesearch.duplicates.same_person import same_people
from facesearch.duplicates.two_people import two_in_one
from facesearch.model import Model
from facesearch.storage.rows import KnownFace
from facesearch.storage.store import Store
from facesearch_indexes.base import VectorIndex


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """An enrolled face, its person, and where it was found."""

    person: str
    photo: str | None  # path; None if the gallery does not know it
    content_hash: str  # key of the photo, see storage/pictures.py
    box: Box  # as it is kept, see facesearch.pictures
    shown: Box  # where it was shown when it was enrolled
    id: int
    stored: FacePlace  # by its picture's identity, in the picture as it is stored


@dataclass(frozen=True, slots=True)
class PerhapsOne:
    """Two names that may belong to one person."""

    people: tuple[str, str]  # first enrolled first
    probability: float
    same_name: bool  # equal but for case, accents or spaces
    grouped: bool  # both are in one group


@dataclass(frozen=True, slots=True)
class ProbablyOne:
    """Names that probably belong to one person; the proposal is to merge them into `keep`."""

    keep: str  # the name with the most photos; of several, the first enrolled
    others: tuple[str, ...]  # first enrolled first
    probability: float  # of the least probable step that joined them


@dataclass(frozen=True, slots=True)
class EnrolledTwice:
    """People who may be enrolled under several names."""

    pairs: tuple[PerhapsOne, ...]  # most probable first
    groups: tuple[ProbablyOne, ...]  # most probable first
    people: int  # in the gallery


@dataclass(frozen=True, slots=True)
class PerhapsTwo:
    """A name that may hold two people."""

    person: str
    probability: float
    camps: tuple[tuple[EnrolledFace, ...], tuple[EnrolledFace, ...]]  # the larger one first


@dataclass(frozen=True, slots=True)
class FaceTwice:
    """Two enrolled faces that are copies of one picture."""

    faces: tuple[EnrolledFace, EnrolledFace]  # first enrolled first
    cosine: float  # of the search codes


@dataclass(frozen=True, slots=True)
class LookAlike:
    """An enrolled person who looks like a given person."""

    person: str
    probability: float  # that the two are one person, by their faces alone
    apart: str | None  # the reason why they are two people; None if none is known


class EnrolledTwiceFinder:
    """Finds what a gallery holds twice; use it inside one snapshot.

    `index` holds the templates' search codes by id.
    """

    def __init__(self, store: Store, model: Model, index: VectorIndex) -> None:
        self._store = store
        self._model = model
        self._index = index
        ids, people, photos, faces, rows = store.templates.with_owners()
        self._enrolled = Enrolled(ids, people, rows, photos, model.search_dim)
        self._template_of = dict(zip(faces.tolist(), ids.tolist(), strict=True))

    def judge(self) -> Judge:
        """Return the judge of this gallery's people."""
        return judge_of(self._enrolled, self._model.head, self._model.evidence, self._model.cohort)

    def same_people(self, at_least: float) -> EnrolledTwice:
        """Return who may be enrolled twice, without pairs that a human has called two people."""
        ids, n_photos = self._photos_by_person()
        names = self._store.people.names_of(ids)
        if len(ids) < 2:
            return EnrolledTwice((), (), len(ids))
        found = same_people(
            self._enrolled,
            self.judge(),
            at_least=at_least,
            not_same=self._store.verdicts.people_apart(),
            names=names,
            index=self._index,
        )
        group_of = {p: place for place, group in enumerate(found.groups) for p in group.people}
        pairs = []
        for pair in found.pairs:
            a, b = pair.people
            grouped = a in group_of and group_of[a] == group_of.get(b)
            called = names[a], names[b]
            pairs.append(PerhapsOne(called, pair.probability, pair.same_name, grouped))
        photos_of = dict(zip(ids, n_photos, strict=True))
        groups = []
        for group in found.groups:
            keep = max(group.people, key=lambda person: (photos_of[person], -person))
            others = tuple(names[person] for person in group.people if person != keep)
            groups.append(ProbablyOne(names[keep], others, group.probability))
        groups.sort(key=lambda group: -group.probability)
        return EnrolledTwice(tuple(pairs), tuple(groups), len(ids))

    def two_in_one(self, at_least: float) -> tuple[PerhapsTwo, ...]:
        """Return which names may hold two people, without those a human has merged or confirmed."""
        if len(self._enrolled.ids) == 0:
            return ()
        confirmed, merges = self._decided_to_be_one()
        found = [
            two
            for two in two_in_one(
                self._enrolled, self.judge(), at_least=at_least, confirmed=confirmed
            )
            if not any(splits_merge(two.camps, merged) for merged in merges)
        ]
        faces = self._faces(i for two in found for camp in two.camps for i in camp)
        return tuple(
            PerhapsTwo(
                faces[first[0]].person,
                two.probability,
                (tuple(faces[i] for i in first), tuple(faces[i] for i in second)),
            )
            for two in found
            for first, second in [two.camps]
        )

    def same_faces(self) -> tuple[FaceTwice, ...]:
        """Return which faces are enrolled twice, most alike first.

        Pairs are left out whose photos a human has called different pictures.
        """
        found = same_faces(self._enrolled, index=self._index)
        faces = self._faces(i for same in found for i in same.templates)
        identity_of = self._store.pictures.identity_of
        pairs = self._store.verdicts.not_same_photos()
        different = {frozenset(map(identity_of, pair)) for pair in pairs}
        return tuple(
            FaceTwice((faces[first], faces[second]), same.cosine)
            for same in found
            for first, second in [same.templates]
            if frozenset(identity_of(faces[i].content_hash) for i in same.templates)
            not in different
        )

    def _photos_by_person(self) -> tuple[list[int], list[int]]:
        """Return the ids of all people with a template, rising, and how many photos each has."""
        in_photo = np.unique(np.stack([self._enrolled.people, self._enrolled.photos], 1), axis=0)
        ids, counts = np.unique(in_photo[:, 0], return_counts=True)
        return ids.tolist(), counts.tolist()

    def _decided_to_be_one(self) -> tuple[set[int], list[set[int]]]:
        """Return the templates that humans gave to their person one by one, and each merge's.

        A group that was named as a whole does not count: nobody looked at each of its faces.
        """
        undone = self._store.decisions.undone()
        confirmed: set[int] = set()
        merges = []
        for row in self._store.decisions.of_kinds("confirm", "move", "split", "merge"):
            if row.id in undone:
                continue
            templates = {self._template_of[face] for face in row.faces if face in self._template_of}
            if row.kind == "merge":
                merges.append(templates)
            elif row.kind != "confirm" or row.confirms_one_face:
                confirmed |= templates
        return confirmed, merges

    def _faces(self, templates: Iterable[int]) -> dict[int, EnrolledFace]:
        """Return the faces of `templates`, by template id."""
        return {
            template: enrolled_face(path, face, self._store)
            for template, path, face in self._store.faces.of_templates(templates)
        }


def splits_merge(camps: tuple[tuple[int, ...], tuple[int, ...]], merged: set[int]) -> bool:
    """Return whether the camps are the two sides of a merge, which a human called one person."""
    return any(
        merged.issuperset(one) and merged.isdisjoint(other) for one, other in (camps, camps[::-1])
    )


def enrolled_face(path: str | None, face: KnownFace, store: Store) -> EnrolledFace:
    """Return `face`, which is enrolled from the photo at `path`."""
    stored = store.pictures.as_stored(FacePlace(face.content_hash, face.box))
    return EnrolledFace(face.person, path, face.content_hash, face.box, face.shown, face.id, stored)


def look_alikes(
    store: Store, judge: Judge, person: int, others: Iterable[int], people: int
) -> list[LookAlike]:
    """Return how probably each of `others` is `person` (person ids), most probable first.

    The prior is USUAL_SHARE of the `people` enrolled: this gallery's own share is known only to
    `same_people`, which compares all of them. People without a template are left out. Call inside
    a snapshot.
    """
    owners, rows = store.templates.of_people({person, *others})
    ids = np.arange(len(owners))
    sums = sum_by_person(Enrolled(ids, owners, rows, ids))
    if person not in sums.ids or len(sums.ids) < 2:
        return []
    row = np.searchsorted(sums.ids, person)
    pairs = np.array([(row, other) for other in range(len(sums.ids)) if other != row])
    prior = log_odds(USUAL_SHARE / max(people - 1, 1))
    probabilities = sigmoid(pair_llrs(sums, judge, pairs) + prior).tolist()
    found = sums.ids[pairs[:, 1]].tolist()
    names, two_people = store.people.names_of(found), store.verdicts.people_apart()
    in_one_photo = store.faces.people_in_photos_of(person)
    alike = []
    for other, probability in zip(found, probabilities, strict=True):
        apart = None
        if (min(person, other), max(person, other)) in two_people:
            apart = "you said they are two people"
        elif other in in_one_photo:
            apart = "they are together in one photo"
        alike.append(LookAlike(names[other], probability, apart))
    return sorted(alike, key=lambda one: (-one.probability, one.person))
