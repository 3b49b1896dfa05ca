"""A gallery -> who is enrolled twice, under their names, with the photos they are enrolled from.

What people.py says by ids of what the gallery file holds, minus what a human has decided.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np

from facesearch.boxes import Box
from facesearch.duplicates.same_person import (
    USUAL_SHARE,
    Enrolled,
    Judge,
    by_person,
    judge_of,
    log_odds,
    pair_llrs,
    same_faces,
    same_people,
    sigmoid,
    two_in_one,
)
from facesearch.model import Model
from facesearch.storage.store import Store
from facesearch_indexes.base import VectorIndex


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """A face, whose it is, and where it was found."""

    person: str
    photo: str | None  # path; None when it was forgotten
    content_hash: str  # of the photo's bytes
    box: Box
    id: int


@dataclass(frozen=True, slots=True)
class PerhapsOne:
    """Two names that may be one person's."""

    people: tuple[str, str]  # first enrolled first
    probability: float
    same_name: bool  # equal but for case, accents or spaces
    grouped: bool  # both are in one group


@dataclass(frozen=True, slots=True)
class ProbablyOne:
    """Names that are probably one person's; merging all into `keep` would make them one."""

    keep: str  # who has most photos, of several the first enrolled
    others: tuple[str, ...]  # first enrolled first
    probability: float  # of the least probable step that joined them


@dataclass(frozen=True, slots=True)
class EnrolledTwice:
    """Who may be enrolled under several names."""

    pairs: tuple[PerhapsOne, ...]  # most probable first
    groups: tuple[ProbablyOne, ...]  # most probable first
    people: int  # in the gallery


@dataclass(frozen=True, slots=True)
class PerhapsTwo:
    """A name that may be two people's."""

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
    """Somebody of the gallery who looks like a certain person."""

    person: str
    probability: float  # that the two are one person, by their faces alone
    apart: str | None  # why they are two all the same, None if nothing says so


class EnrolledTwiceFinder:
    """What a gallery holds, as `people` compares it; use it inside one snapshot.

    `index` holds the templates' search codes by id.
    """

    def __init__(self, store: Store, model: Model, index: VectorIndex) -> None:
        self._store = store
        self._model = model
        self._index = index
        ids, rows = store.templates.all()
        people, photos, faces = store.templates.owners()
        self._enrolled = Enrolled(ids, people, rows, photos, model.search_dim)
        self._template_of = dict(zip(faces.tolist(), ids.tolist(), strict=True))

    def judge(self) -> Judge:
        """Return what tells one person from two in this gallery."""
        return judge_of(self._enrolled, self._model.head, self._model.evidence, self._model.cohort)

    def same_people(self, at_least: float) -> EnrolledTwice:
        """Return who may be enrolled twice, but for those of whom a human said otherwise."""
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
        """Return which names may hold two people, but for those whom a human made one."""
        if len(self._enrolled.ids) == 0:
            return ()
        confirmed, merges = self._said_to_be_one()
        found = [
            two
            for two in two_in_one(
                self._enrolled, self.judge(), at_least=at_least, confirmed=confirmed
            )
            if not any(parts(two.camps, merged) for merged in merges)
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

        Not those on photos of which a human said that they are not one picture.
        """
        found = same_faces(self._enrolled, index=self._index)
        faces = self._faces(i for same in found for i in same.templates)
        different = self._store.verdicts.not_same_photos()
        return tuple(
            FaceTwice((faces[first], faces[second]), same.cosine)
            for same in found
            for first, second in [same.templates]
            if not on_different(faces[first], faces[second], different)
        )

    def _photos_by_person(self) -> tuple[list[int], list[int]]:
        """Return the ids of all people with a template, rising, and how many photos each has."""
        on_photo = np.unique(np.stack([self._enrolled.people, self._enrolled.photos], 1), axis=0)
        ids, counts = np.unique(on_photo[:, 0], return_counts=True)
        return ids.tolist(), counts.tolist()

    def _said_to_be_one(self) -> tuple[set[int], list[set[int]]]:
        """Return the templates that a human gave to who has them, and those each merge gave.

        Not those of a group that was given a name as a whole.
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
            template: EnrolledFace(face.person, path, face.content_hash, face.box, face.id)
            for template, path, face in self._store.faces.of_templates(templates)
        }


def parts(camps: tuple[tuple[int, ...], tuple[int, ...]], merged: set[int]) -> bool:
    """Return whether the two camps are just what a merge put together, so a human said one."""
    return any(
        merged.issuperset(one) and merged.isdisjoint(other) for one, other in (camps, camps[::-1])
    )


def on_different(a: EnrolledFace, b: EnrolledFace, different: Set[tuple[str, str]]) -> bool:
    """Return whether two faces are on photos that are among the `different` pairs of hashes."""
    first, second = sorted((a.content_hash, b.content_hash))
    return (first, second) in different


def look_alikes(
    store: Store, judge: Judge, person: int, others: Iterable[int], people: int
) -> list[LookAlike]:
    """Return how probably each of `others` is `person`, most probable first; ids of people.

    Of `people` who are enrolled, as many are taken to be there twice as usual: how many are in
    this gallery, only `same_people` knows, which compares all of them. Whoever has no template is
    left out. Call inside a snapshot.
    """
    owners, rows = store.templates.of_people({person, *others})
    ids = np.arange(len(owners))
    everybody = by_person(Enrolled(ids, owners, rows, ids))
    if person not in everybody.ids or len(everybody.ids) < 2:
        return []
    row = np.searchsorted(everybody.ids, person)
    pairs = np.array([(row, other) for other in range(len(everybody.ids)) if other != row])
    prior = log_odds(USUAL_SHARE / max(people - 1, 1))
    probabilities = sigmoid(pair_llrs(everybody, judge, pairs) + prior).tolist()
    found = everybody.ids[pairs[:, 1]].tolist()
    names, said = store.people.names_of(found), store.verdicts.people_apart()
    on_one_photo = store.faces.people_in_photos_of(person)
    alike = []
    for other, probability in zip(found, probabilities, strict=True):
        apart = None
        if (min(person, other), max(person, other)) in said:
            apart = "you said that they are two people"
        elif other in on_one_photo:
            apart = "they are on one photo together"
        alike.append(LookAlike(names[other], probability, apart))
    return sorted(alike, key=lambda one: (-one.probability, one.person))
