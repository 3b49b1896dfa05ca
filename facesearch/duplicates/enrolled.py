"""A gallery -> its proposals by name, with photos: same person, two people, same face.

`same_person`, `two_people` and `same_face` propose by id; this file asks them about a gallery and
leaves out what a human has decided.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np

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
from facesearch.storage.decisions import DecisionLog
from facesearch.storage.store import BOX_COLUMNS, Box, Store, same_place
from facesearch_indexes.base import VectorIndex


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """An enrolled face, its person, and where it was found."""

    person: str
    photo: str | None  # path; None if the gallery does not know it
    content_hash: str  # of the photo's bytes
    box: Box
    id: int


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

    def __init__(self, store: Store, log: DecisionLog, model: Model, index: VectorIndex) -> None:
        self._store = store
        self._log = log
        self._model = model
        self._index = index
        ids, rows = store.templates()
        owners = store.rows(
            "SELECT person_id, photo_id, face.id FROM template JOIN face ON face.id = face_id "
            "ORDER BY template.id"
        )
        people, photos, faces = np.array(owners, np.int64).reshape(-1, 3).T
        self._enrolled = Enrolled(ids, people, rows, photos, model.search_dim)
        self._template_of = dict(zip(faces.tolist(), ids.tolist(), strict=True))

    def judge(self) -> Judge:
        """Return the judge of this gallery's people."""
        return judge_of(self._enrolled, self._model.head, self._model.evidence, self._model.cohort)

    def same_people(self, at_least: float) -> EnrolledTwice:
        """Return who may be enrolled twice, without pairs that a human has called two people."""
        ids, n_photos = self._photos_by_person()
        names = self._store.names(ids)
        if len(ids) < 2:
            return EnrolledTwice((), (), len(ids))
        found = same_people(
            self._enrolled,
            self.judge(),
            at_least=at_least,
            not_same=parted(self._store),
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
        different = self._store.not_same_photos()
        return tuple(
            FaceTwice((faces[first], faces[second]), same.cosine)
            for same in found
            for first, second in [same.templates]
            if not in_different_photos(faces[first], faces[second], different)
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
        undone = self._log.undone()
        confirmed: set[int] = set()
        merges = []
        for row in self._log.select("kind IN ('confirm', 'move', 'split', 'merge') ORDER BY id"):
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
        rows = self._store.rows_for(
            f"SELECT template.id, name, path, content_hash, face.id, {', '.join(BOX_COLUMNS)} "
            "FROM template JOIN face ON face.id = face_id "
            "JOIN person ON person.id = person_id JOIN photo ON photo.id = photo_id "
            "WHERE template.id IN (?)",
            templates,
        )
        return {
            template: EnrolledFace(name, path, content_hash, tuple(box), face)
            for template, name, path, content_hash, face, *box in rows
        }


def splits_merge(camps: tuple[tuple[int, ...], tuple[int, ...]], merged: set[int]) -> bool:
    """Return whether the camps are the two sides of a merge, which a human called one person."""
    return any(
        merged.issuperset(one) and merged.isdisjoint(other) for one, other in (camps, camps[::-1])
    )


def in_different_photos(a: EnrolledFace, b: EnrolledFace, different: Set[tuple[str, str]]) -> bool:
    """Return whether the photos of two faces are one of the `different` pairs of hashes."""
    first, second = sorted((a.content_hash, b.content_hash))
    return (first, second) in different


def parted(store: Store) -> set[tuple[int, int]]:
    """Return the pairs of people, rising, whom a merge would refuse to make one."""
    apart = {(a, b) for _, a, b in store.not_same()}
    columns = [f"{table}.{side}" for table in ("rejection", "face") for side in BOX_COLUMNS]
    rows = store.rows(  # a face of the one was rejected as the other
        f"SELECT rejection.person_id, face.person_id, {', '.join(columns)} "
        "FROM rejection JOIN photo USING (content_hash) JOIN face ON photo_id = photo.id"
    )
    for rejected, owner, *boxes in rows:
        if same_place(tuple(boxes[:4]), tuple(boxes[4:])):
            apart.add((min(rejected, owner), max(rejected, owner)))
    return apart


def together(store: Store, person: int) -> set[int]:
    """Return the ids of the people who are on one photo with a person."""
    rows = store.rows(
        "SELECT DISTINCT other.person_id FROM face JOIN face AS other USING (photo_id) "
        "WHERE face.person_id = ? AND other.person_id != face.person_id",
        (person,),
    )
    return {other for (other,) in rows}


def look_alikes(
    store: Store, judge: Judge, person: int, others: Iterable[int], people: int
) -> list[LookAlike]:
    """Return how probably each of `others` is `person` (person ids), most probable first.

    The prior is USUAL_SHARE of the `people` enrolled: this gallery's own share is known only to
    `same_people`, which compares all of them. People without a template are left out. Call inside
    a snapshot.
    """
    owners, rows = store.templates_of_people({person, *others})
    ids = np.arange(len(owners))
    sums = sum_by_person(Enrolled(ids, owners, rows, ids))
    if person not in sums.ids or len(sums.ids) < 2:
        return []
    row = np.searchsorted(sums.ids, person)
    pairs = np.array([(row, other) for other in range(len(sums.ids)) if other != row])
    prior = log_odds(USUAL_SHARE / max(people - 1, 1))
    probabilities = sigmoid(pair_llrs(sums, judge, pairs) + prior).tolist()
    found = sums.ids[pairs[:, 1]].tolist()
    names, two_people, in_one_photo = store.names(found), parted(store), together(store, person)
    alike = []
    for other, probability in zip(found, probabilities, strict=True):
        apart = None
        if (min(person, other), max(person, other)) in two_people:
            apart = "you said they are two people"
        elif other in in_one_photo:
            apart = "they are together in one photo"
        alike.append(LookAlike(names[other], probability, apart))
    return sorted(alike, key=lambda one: (-one.probability, one.person))
