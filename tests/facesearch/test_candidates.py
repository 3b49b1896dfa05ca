"""The candidates of a probe, compared with an exhaustive search in numpy."""

import numpy as np
import pytest
from fake_model import DIM, FakeModel, embedding

from facesearch.candidates import (
    CANDIDATES,
    CANDIDATES_OTHER_ORDER,
    NEAREST,
    find_candidates,
    mean_template,
    mean_templates,
    most_alike,
)
from facesearch.head import L1SigmoidHead
from facesearch.openset import Strangers
from facesearch_indexes.faiss_index import FaissIndex

PROBES = np.stack([embedding(person, 9) for person in (3, 17, 42, 500)])  # 500 is not enrolled
OWN_ORDER = L1SigmoidHead(
    None, np.ones(DIM, np.float32), 1.0, 1.0, exponent=1.0, follows_cosine=False
)


class Enrolled:
    """The enrolled templates of a gallery, and an index of their search codes."""

    def __init__(self, pictures_of, model):
        """Enroll people: person id -> number of pictures."""
        pairs = [(p, k) for p, n_pictures in pictures_of.items() for k in range(n_pictures)]
        order = np.random.default_rng(0).permutation(len(pairs))  # template ids tell no person
        self.rows = np.stack([embedding(*pairs[place]) for place in order])
        self.owners = np.array([pairs[place][0] for place in order])
        self.ids = 7 + 3 * np.arange(len(pairs))
        self.index = FaissIndex.build(self.ids, model.search_codes(self.rows))
        self.asked = []  # the numbers of templates that the index was asked for

    def __len__(self):
        return len(self.index)

    def search(self, codes, k):
        self.asked.append(k)
        return self.index.search(codes, k)

    def people_of(self, template_ids):
        owners = dict(zip(self.ids.tolist(), self.owners.tolist(), strict=True))
        return {i: owners[i] for i in template_ids.tolist() if i in owners}

    def references(self, people):
        return {p: mean_template(self.rows[self.owners == p]) for p in people if p in self.owners}

    def forget(self, person):
        """Delete a person's templates, but leave them in the index."""
        kept = self.owners != person
        self.rows, self.owners, self.ids = self.rows[kept], self.owners[kept], self.ids[kept]


def strangers(people, center=None):
    return Strangers(people, np.zeros(DIM, np.float32) if center is None else center, 0.0, 0.1)


def find(enrolled, model, center=None):
    people = len(set(enrolled.owners.tolist()))
    return find_candidates(PROBES, model, enrolled, strangers(people, center), enrolled)


def nearest_people(enrolled, probe, dim=DIM):
    """Return all person ids by their template nearest to `probe`, by the first `dim` numbers."""
    rows, probe = enrolled.rows[:, :dim].astype(np.float64), probe[:dim].astype(np.float64)
    cosines = rows @ probe / np.linalg.norm(rows, axis=1)
    return list(dict.fromkeys(enrolled.owners[np.argsort(-cosines)].tolist()))


def exact_reference(enrolled, person):
    mean = enrolled.rows[enrolled.owners == person].astype(np.float64).mean(0)
    return mean / np.linalg.norm(mean)


def assert_references(enrolled, candidates):
    for person, reference in candidates.items():
        assert reference == pytest.approx(exact_reference(enrolled, person), abs=1e-6)


def test_candidates_are_the_people_with_the_nearest_templates_nearest_first():
    model = FakeModel()
    enrolled = Enrolled({person: 1 + person % 4 for person in range(60)}, model)
    found = find(enrolled, model)
    for probe, candidates in zip(PROBES, found, strict=True):
        assert list(candidates) == nearest_people(enrolled, probe)[:CANDIDATES]
        assert_references(enrolled, candidates)
    assert [next(iter(candidates)) for candidates in found[:3]] == [3, 17, 42]


def test_no_probe_or_no_template_gives_no_candidate():
    model = FakeModel()
    enrolled = Enrolled({1: 1}, model)
    none = np.zeros((0, DIM), np.float32)
    assert find_candidates(none, model, enrolled, strangers(1), enrolled) == []
    empty = FaissIndex(DIM)
    assert find_candidates(PROBES, model, empty, strangers(0), enrolled) == [{}] * len(PROBES)


def test_a_person_with_many_templates_does_not_crowd_out_the_others():
    model = FakeModel()
    enrolled = Enrolled({3: 200, **dict.fromkeys(range(10, 60), 1)}, model)
    for probe, candidates in zip(PROBES, find(enrolled, model), strict=True):
        assert list(candidates) == nearest_people(enrolled, probe)[:CANDIDATES]
    assert enrolled.asked == [NEAREST, 4 * NEAREST, len(enrolled)]


def test_the_index_is_asked_once_if_the_first_templates_show_enough_people():
    model = FakeModel()
    enrolled = Enrolled(dict.fromkeys(range(60), 1), model)
    find(enrolled, model)
    assert enrolled.asked == [NEAREST]


def test_a_gallery_of_few_people_gives_all_of_them():
    model = FakeModel()
    enrolled = Enrolled({3: 2, 17: 1, 42: 3}, model)
    for probe, candidates in zip(PROBES, find(enrolled, model), strict=True):
        assert list(candidates) == nearest_people(enrolled, probe)
    assert enrolled.asked == [len(enrolled)]


def test_templates_the_gallery_does_not_hold_any_more_are_ignored():
    model = FakeModel()
    enrolled = Enrolled(dict.fromkeys(range(60), 2), model)
    enrolled.forget(17)
    for probe, candidates in zip(PROBES, find(enrolled, model), strict=True):
        assert 17 not in candidates
        assert list(candidates) == nearest_people(enrolled, probe)[:CANDIDATES]


def test_a_person_without_a_reference_is_not_a_candidate():
    model = FakeModel()
    enrolled = Enrolled(dict.fromkeys(range(60), 2), model)
    references = enrolled.references
    enrolled.references = lambda people: references(set(people) - {17})
    for probe, candidates in zip(PROBES, find(enrolled, model), strict=True):
        nearest = nearest_people(enrolled, probe)[:CANDIDATES]
        assert list(candidates) == [person for person in nearest if person != 17]


def test_a_head_with_its_own_order_gets_more_candidates():
    model = FakeModel(head=OWN_ORDER)
    enrolled = Enrolled(dict.fromkeys(range(80), 2), model)
    for probe, candidates in zip(PROBES, find(enrolled, model), strict=True):
        assert list(candidates) == nearest_people(enrolled, probe)[:CANDIDATES_OTHER_ORDER]
        assert_references(enrolled, candidates)


def test_short_search_codes_propose_more_people_and_whole_templates_choose_among_them():
    model = FakeModel(search_dim=3)
    enrolled = Enrolled(dict.fromkeys(range(120), 2), model)
    center = (0.3 * embedding(900, 1)).astype(np.float32)
    chosen_otherwise = 0
    for probe, candidates in zip(PROBES, find(enrolled, model, center), strict=True):
        proposed = nearest_people(enrolled, probe, dim=3)[:CANDIDATES_OTHER_ORDER]
        cosines = {}
        for person in proposed:
            centered = exact_reference(enrolled, person) - center
            cosines[person] = centered @ (probe - center) / np.linalg.norm(centered)
        nearest = sorted(proposed, key=lambda person: -cosines[person])[:CANDIDATES]
        assert list(candidates) == nearest
        assert_references(enrolled, candidates)
        chosen_otherwise += nearest != proposed[:CANDIDATES]
    assert chosen_otherwise


def test_of_few_people_the_most_alike_are_all_in_the_given_order():
    people = {person: embedding(person, 0) for person in range(CANDIDATES)}
    assert list(most_alike(PROBES[0], people, strangers(CANDIDATES))) == list(people)


def test_references_of_all_people_are_the_unit_means_of_their_templates_by_person_id():
    enrolled = Enrolled({person: 1 + person % 5 for person in range(30)}, FakeModel())
    means = mean_templates(enrolled.owners, enrolled.rows)
    assert means.shape == (30, DIM)
    for person, mean in enumerate(means):
        assert mean == pytest.approx(exact_reference(enrolled, person), abs=1e-6)
        alone = mean_template(enrolled.rows[enrolled.owners == person])
        assert alone == pytest.approx(mean, abs=1e-6)
