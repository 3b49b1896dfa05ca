"""Embeddings -> candidates: the few enrolled people with whom the head compares each probe.

The index proposes the nearest templates, by the cosine of their search codes. The gallery says
whose they are, and a person's reference is the mean of their templates.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facesearch.model import Model
from facesearch.openset import Strangers
from facesearch.vectors import Floats, unit
from facesearch_indexes.base import VectorIndex

CANDIDATES = 10  # people whom the head compares with a probe; 50 change no figure
# Proposed by the index where its order is not the head's: the head has an order of its own, or it
# reads numbers of the template that the index does not hold.
CANDIDATES_OTHER_ORDER = 50
NEAREST = 32  # templates asked of the index at first; more while they belong to too few people

Ids = NDArray[np.int64]


class EnrolledTemplates(Protocol):
    """The enrolled templates as the gallery knows them; an index may be behind."""

    def people_of(self, template_ids: Ids) -> Mapping[int, int]:
        """Return template id -> person id of those of `template_ids` that are enrolled."""
        ...

    def references(self, people: Collection[int]) -> Mapping[int, Floats]:
        """Return person id -> reference (dim,) of those of `people` who have a template."""
        ...


def find_candidates(
    probes: Floats,
    model: Model,
    index: VectorIndex,
    strangers: Strangers,
    enrolled: EnrolledTemplates,
) -> list[dict[int, Floats]]:
    """Return the candidates of each of `probes` (n, dim): person id -> reference (dim,).

    At most CANDIDATES each, or CANDIDATES_OTHER_ORDER for a head with an order of its own.
    `index` holds the search codes of the enrolled templates by template id.
    """
    if len(probes) == 0 or len(index) == 0:
        return [{} for _ in probes]
    same_order = model.head.follows_cosine and model.search_dim == model.dim
    most = CANDIDATES if same_order else CANDIDATES_OTHER_ORDER
    enough = min(most, strangers.people)
    found = [
        people[:most] for people in _nearest_people(probes, model, index, enrolled, most, enough)
    ]
    references = enrolled.references({person for people in found for person in people})
    near = [{p: references[p] for p in people if p in references} for people in found]
    if model.head.follows_cosine and not same_order:
        pairs = zip(probes, near, strict=True)
        near = [most_alike(probe, people, strangers) for probe, people in pairs]
    return near


def _nearest_people(
    probes: Floats,
    model: Model,
    index: VectorIndex,
    enrolled: EnrolledTemplates,
    most: int,
    enough: int,
) -> list[list[int]]:
    """Return the ids of the people nearest to each probe, nearest first: at least `enough`."""
    codes = model.search_codes(probes)
    nearest = min(max(NEAREST, 2 * most), len(index))
    while True:
        matches = index.search(codes, nearest)
        owners = enrolled.people_of(np.unique(matches.ids[matches.ids >= 0]))
        found = [
            list(dict.fromkeys(owners[i] for i in row.tolist() if i in owners))
            for row in matches.ids
        ]
        if nearest >= len(index) or all(len(people) >= enough for people in found):
            return found
        nearest = min(4 * nearest, len(index))  # many templates belonged to the same people


def most_alike(
    probe: Floats, people: Mapping[int, Floats], strangers: Strangers
) -> dict[int, Floats]:
    """Return the CANDIDATES of `people`, references by person, nearest to `probe` (dim,).

    By the centered cosine of whole templates: the head's own order costs a hundred times as much.
    """
    if len(people) <= CANDIDATES:
        return dict(people)
    cosines = strangers.centered(np.stack(list(people.values()))) @ strangers.centered(probe)
    kept = np.argsort(-cosines, kind="stable")[:CANDIDATES]
    persons = list(people)
    return {persons[place]: people[persons[place]] for place in kept.tolist()}


def mean_template(rows: Floats) -> Floats:
    """Return a person's reference (dim,): the mean of their templates (n, dim), of length 1."""
    mean: Floats = unit(rows.mean(0))
    return mean


def mean_templates(people: Ids, rows: Floats) -> Floats:
    """Return the references (m, dim) of all people, by id; `rows[i]` is of person `people[i]`."""
    order = np.argsort(people, kind="stable")
    _, starts = np.unique(people[order], return_index=True)
    return unit(np.add.reduceat(rows[order], starts, axis=0))
