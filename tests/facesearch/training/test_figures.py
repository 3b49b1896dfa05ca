"""The measured figures of a model."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("scipy", reason="scipy, which fits the calibration, is not installed")

from facesearch.head import L1SigmoidHead
from facesearch.openset import Cohort, Evidence
from facesearch.training.figures import measure, report
from facesearch.training.searches import Searches
from facesearch.vectors import unit

pytestmark = pytest.mark.usefixtures("fewer_pairs")

DIM = 12
HEAD = L1SigmoidHead(None, np.full(DIM, 3.0, np.float32), 6.0, 1.0, follows_cosine=False)
COHORT = Cohort(np.zeros(DIM, np.float32), 0.0, 0.3, 10.0, 1.0)
EVIDENCE = Evidence(-5.0, 2.0, 0.3, -1.0, 6.0)
ABOUT = {"made_from": "made up", "calibrated_on": True}


def searches_of(n_people, pictures, seed=0):
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(n_people), pictures)
    templates = rng.normal(size=(n_people, DIM))[people] + 0.5 * rng.normal(size=(len(people), DIM))
    templates = unit(templates.astype(np.float32))
    return Searches(people, templates, templates, HEAD)


def test_every_pair_of_a_few_people_counts_once_by_the_heads_llr():
    searches = searches_of(6, 4)
    figures = measure(searches, HEAD, COHORT, EVIDENCE, **ABOUT)
    assert figures.pairs.mated.sum() == 6 * 6  # 4 * 3 / 2 of each
    assert figures.pairs.non_mated.sum() == 24 * 23 / 2 - 36
    assert figures.searches == ()
    llrs = np.concatenate(
        [HEAD.llr(t, searches.probes[i + 1 :]) for i, t in enumerate(searches.probes[:-1])]
    )
    counted = np.histogram(llrs, figures.pairs.edges)[0]
    assert np.abs(counted - figures.pairs.mated - figures.pairs.non_mated).sum() <= 4  # rounding


def test_pairs_are_centered_by_the_cohorts_mean():
    searches = searches_of(6, 4)
    shared = replace(COHORT, mean=np.full(DIM, 0.2, np.float32))
    counted = measure(searches, HEAD, shared, EVIDENCE, **ABOUT).pairs
    templates = unit(searches.probes - 0.2)
    llrs = np.concatenate([HEAD.llr(t, templates[i + 1 :]) for i, t in enumerate(templates[:-1])])
    expected = np.histogram(llrs, counted.edges)[0]
    assert np.abs(expected - counted.mated - counted.non_mated).sum() <= 4  # rounding


def test_the_curves_and_the_report_agree_on_searches():
    searches = searches_of(60, 3)
    figures = measure(searches, HEAD, COHORT, EVIDENCE, **ABOUT)
    told = report(searches, COHORT, EVIDENCE)
    (some,) = figures.searches
    assert (some.people, some.mated) == (20, 40 * 30)
    assert dict(zip(some.asked, some.reached, strict=True)) == {
        rate: told[f"fpir_asked_{rate}_n20"] for rate in some.asked
    }
    assert round(some.calibration_error, 4) == told["ece_n20"]
    assert some.n.sum() == 2 * some.mated


def test_people_with_one_picture_each_give_no_figures():
    searches = searches_of(30, 1)
    assert measure(searches, HEAD, COHORT, EVIDENCE, **ABOUT) is None
    assert measure(searches_of(1, 5), HEAD, COHORT, EVIDENCE, **ABOUT) is None
