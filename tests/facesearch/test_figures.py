"""figures.json: what is counted, saved and read back."""

import json

import numpy as np
import pytest

from facesearch.errors import ModelError
from facesearch.evaluation.metrics import roc
from facesearch.figures import FILE, Figures, PairFigures, SearchFigures, read_figures
from facesearch.manifest import read_manifest
from facesearch.shipped import SHIPPED, shipped_models

MANIFEST = {"name": "some", "sha256": {"branch.onnx": "a", "head.npz": "b"}}


def calibrated_llrs(n=5000, seed=0):
    """Return calibrated log-likelihood ratios: normal, 1.5 to both sides of 0."""
    rng = np.random.default_rng(seed)
    mated = rng.random(n) < 0.3
    return (rng.normal(size=n) * np.sqrt(3) + np.where(mated, 1.5, -1.5)).astype("f4"), mated


def some_figures():
    searches = SearchFigures(
        people=20,
        mated=5,
        non_mated=40,
        asked=(0.01, 0.05),
        reached=(0.02, 0.04),
        n=np.array([4, 0, 6]),
        stated=np.array([0.4, 0.0, 5.4]),
        true=np.array([1, 0, 5]),
    )
    return Figures("20 people", False, PairFigures.of(*calibrated_llrs()), (searches,))


def test_rates_from_the_bins_agree_with_those_of_the_pairs():
    llrs, mated = calibrated_llrs()
    pairs = PairFigures.of(llrs, mated)
    assert pairs.mated.sum() == mated.sum()
    assert pairs.non_mated.sum() == (~mated).sum()
    for edge, fmr, tmr in zip(
        pairs.edges, pairs.at_least(pairs.non_mated), pairs.at_least(pairs.mated), strict=True
    ):
        assert fmr == pytest.approx((llrs[~mated] >= edge).mean(), abs=1e-3)
        assert tmr == pytest.approx((llrs[mated] >= edge).mean(), abs=1e-3)
    curve = roc(llrs, mated)
    for llr in (-4.0, -0.3, 0.0, 2.2):
        exact = curve.far[np.flatnonzero(curve.thresholds >= llr)[-1]]
        assert pairs.strangers_above(llr) == pytest.approx(exact, abs=0.01)
    assert pairs.strangers_above(-99) == 1
    assert pairs.strangers_above(99) == 0


def test_calibrated_probabilities_are_reliable_whatever_the_share_of_mated_pairs():
    n, stated, true = PairFigures.of(*calibrated_llrs(200_000)).reliability()
    assert n.sum() == 200_000
    assert true == pytest.approx(stated, abs=0.03)


def test_densities_have_an_area_of_1():
    pairs = PairFigures.of(*calibrated_llrs())
    for counts in (pairs.mated, pairs.non_mated):
        assert pairs.density(counts).sum() * pairs.step == pytest.approx(1)


def test_saved_figures_are_read_back(tmp_path):
    figures = some_figures()
    figures.save(tmp_path, MANIFEST)
    again = read_figures(tmp_path, MANIFEST)
    assert (again.made_from, again.calibrated_on) == ("20 people", False)
    assert (again.pairs.mated == figures.pairs.mated).all()
    assert (again.pairs.edges == figures.pairs.edges).all()
    (searches,) = again.searches
    assert searches.asked == (0.01, 0.05)
    n, stated, true = searches.reliability()  # the empty bin is left out
    assert n.tolist() == [4, 6]
    assert stated == pytest.approx([0.1, 0.9])
    assert true == pytest.approx([1 / 4, 5 / 6])
    assert searches.calibration_error == pytest.approx((0.6 + 0.4) / 10)


def test_a_model_without_figures_has_none_and_damaged_ones_raise_one_sentence(tmp_path):
    assert read_figures(tmp_path, MANIFEST) is None
    some_figures().save(tmp_path, MANIFEST)
    other_head = MANIFEST | {"sha256": {"branch.onnx": "a", "head.npz": "c"}}
    with pytest.raises(ModelError, match="belongs to other files"):
        read_figures(tmp_path, other_head)
    whole = json.loads((tmp_path / FILE).read_text())
    broken = [
        "{",
        "[]",
        json.dumps(whole | {"figures_version": 2}),
        json.dumps(whole | {"pairs": whole["pairs"] | {"mated": []}}),
        json.dumps(whole | {"pairs": whole["pairs"] | {"mated": [0], "non_mated": [3]}}),
        json.dumps(whole | {"searches": [whole["searches"][0] | {"n": [0, 0, 0]}]}),
        json.dumps(whole | {"searches": [whole["searches"][0] | {"reached": [0.1]}]}),
    ]
    for text in broken:
        (tmp_path / FILE).write_text(text)
        with pytest.raises(ModelError, match="cannot be read"):
            read_figures(tmp_path, MANIFEST)


@pytest.mark.parametrize("name", shipped_models())
def test_figures_of_shipped_models_agree_with_their_manifest(name):
    manifest = read_manifest(SHIPPED / name)
    figures = read_figures(SHIPPED / name, manifest)
    assert not figures.calibrated_on
    for searches in figures.searches:
        for asked, reached in zip(searches.asked, searches.reached, strict=True):
            said = manifest["figures"][f"fpir_asked_{asked}_n{searches.people}"]
            assert reached == pytest.approx(said, rel=0.15, abs=2e-4)
