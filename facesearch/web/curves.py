"""Measurements of a model, and the log of a training -> diagrams."""

from collections.abc import Iterable

import numpy as np

from facesearch.figures import Figures, PairFigures, SearchFigures
from facesearch.training_log import Training
from facesearch.web.diagrams import (
    Axis,
    Diagram,
    Mark,
    Series,
    Table,
    decades,
    linear,
    share_text,
)

MERGED = 4  # bins drawn as one, since single bins hold few pairs and look rough
RATES = (0.1, 0.05, 0.01, 0.001, 0.0001, 0.00001)  # false-match rates listed in tables


def model_diagrams(figures: Figures) -> list[Diagram]:
    """Return all diagrams of a model."""
    diagrams = [
        score_diagram(figures),
        roc_diagram(figures.pairs),
        det_diagram(figures.pairs),
        reliability_diagram(figures),
    ]
    return [*diagrams, fpir_diagram(figures.searches)] if figures.searches else diagrams


def measured_on(figures: Figures) -> str:
    """Return what a model was measured on, in sentences."""
    pairs = figures.pairs
    seen = (
        "The calibration uses the same pairs, so these figures flatter it."
        if figures.calibrated_on
        else "The calibration uses none of them."
    )
    return (
        f"Measured on {figures.made_from}: {pairs.mated.sum():,} pairs that belong together and "
        f"{pairs.non_mated.sum():,} that do not. {seen}"
    )


def score_diagram(figures: Figures, mark: Mark | None = None) -> Diagram:
    """Return the distributions of both kinds of pairs' scores, with a mark at one pair's score."""
    pairs = figures.pairs
    edges = pairs.edges[::MERGED]
    middles = (edges[:-1] + edges[1:]) / 2
    densities = [
        np.add.reduceat(pairs.density(counts), np.arange(0, len(counts), MERGED))[: len(middles)]
        for counts in (pairs.non_mated, pairs.mated)
    ]
    seen = np.flatnonzero((pairs.mated + pairs.non_mated) > 0)
    low, high = pairs.edges[seen[0]], pairs.edges[seen[-1] + 1]
    top = 1.08 * max(density.max() for density in densities)
    names = ("different people", "same person")
    return Diagram(
        title="Scores of pairs",
        caption="How often pairs get each score. Above 0 a pair is more likely the same person "
        "than not; where the curves cross, both are equally frequent.",
        x=linear("score: log-likelihood ratio (nats)", float(low), float(high)),
        y=Axis("frequency", 0.0, float(top), ()),
        series=tuple(
            Series(name, number, middles, density, filled=True)
            for number, (name, density) in enumerate(zip(names, densities, strict=True), 1)
        ),
        table=score_table(pairs),
        marks=(mark,) if mark else (),
    )


def score_table(pairs: PairFigures) -> Table:
    """Return the shares of both kinds of pairs at or above round scores."""
    shares = [pairs.at_least(counts) for counts in (pairs.non_mated, pairs.mated)]
    scores = [value for value, _ in linear("", pairs.edges[0], pairs.edges[-1], most=12).ticks]
    rows = (
        (f"{score:g}", *(share_text(float(np.interp(score, pairs.edges, s))) for s in shares))
        for score in scores
    )
    return Table(
        ("score", "different people at or above it", "same person at or above it"), tuple(rows)
    )


def rates(pairs: PairFigures) -> tuple[list[float], list[float]]:
    """Return false-match and false-non-match rates, at each edge where the former changes."""
    fmr, tmr = pairs.at_least(pairs.non_mated), pairs.at_least(pairs.mated)
    some = (fmr > 0) & np.append(True, np.diff(fmr) < 0)  # of equal rates, keep the best
    return fmr[some].tolist(), (1 - tmr[some]).tolist()


def rate_table(pairs: PairFigures) -> Table:
    """Return the rates at a few thresholds."""
    fmr, fnmr = rates(pairs)
    rising = np.array(fmr[::-1]), np.array(fnmr[::-1])
    rows = [
        (share_text(rate), share_text(missed), share_text(1 - missed))
        for rate in RATES
        if rate >= rising[0][0]
        for missed in [float(np.interp(rate, *rising))]
    ]
    return Table(
        ("false matches (FMR)", "missed (FNMR)", "correct matches (1 - FNMR)"), tuple(rows)
    )


def roc_diagram(pairs: PairFigures) -> Diagram:
    """Return the receiver operating characteristic, with a logarithmic axis of false matches."""
    fmr, fnmr = rates(pairs)
    matched = [1 - missed for missed in fnmr]
    low = min(0.95, max(0.0, floor_to_tenth(min(matched))))
    return Diagram(
        title="ROC: correct matches against false matches",
        caption="At each threshold, the share of pairs of the same person that match, against the "
        "share of pairs of different people that match. Up and left is better.",
        x=decades("false-match rate", min(fmr), 1.0),
        y=linear("correct matches", low, 1.0, "%", scale=100),
        series=(Series("this model", 1, fmr, matched),),
        table=rate_table(pairs),
    )


def floor_to_tenth(share: float) -> float:
    """Return the tenth below a share."""
    return int(share * 10) / 10


def det_diagram(pairs: PairFigures) -> Diagram:
    """Return the detection error trade-off, both errors on logarithmic axes."""
    fmr, fnmr = rates(pairs)
    some = [(x, y) for x, y in zip(fmr, fnmr, strict=True) if y > 0]
    x, y = [x for x, _ in some], [y for _, y in some]
    return Diagram(
        title="DET: missed matches against false matches",
        caption="The same on axes that show small errors. Down and left is better.",
        x=decades("false-match rate", min(fmr), 1.0),
        y=decades("missed: false-non-match rate", min(y, default=0.001), 1.0),
        series=(Series("this model", 1, x, y),),
        table=rate_table(pairs),
    )


def reliability_diagram(figures: Figures) -> Diagram:
    """Return how often statements of each probability were true."""
    measured = [("pairs", figures.pairs.reliability())]
    measured += [(f"among {s.people:,}", s.reliability()) for s in figures.searches]
    rows = (
        (name, share_text(stated), share_text(true), f"{n:,}")
        for name, (ns, probabilities, shares) in measured
        for n, stated, true in zip(ns, probabilities, shares, strict=True)
    )
    errors = "; ".join(
        f"among {s.people:,} by {share_text(s.calibration_error)}" for s in figures.searches
    )
    return Diagram(
        title="Calibration: are the probabilities right?",
        caption="80% of all statements with a probability of 80% should be true: then the points "
        "lie on the straight line. For pairs, and for the first name of searches in galleries."
        + (f" Mean error: {errors}." if errors else ""),
        x=linear("stated probability", 0.0, 1.0, "%", scale=100),
        y=linear("share that is true", 0.0, 1.0, "%", scale=100),
        series=(
            Series("ideal", 0, (0.0, 1.0), (0.0, 1.0)),
            *(
                Series(name, number, stated, true, pointed=True)
                for number, (name, (_, stated, true)) in enumerate(measured, 1)
            ),
        ),
        table=Table(("of", "stated", "true", "how many"), tuple(rows)),
    )


def fpir_diagram(searches: Iterable[SearchFigures]) -> Diagram:
    """Return the measured FPIR by gallery size, for each FPIR that was asked for."""
    some = list(searches)
    sizes = [s.people for s in some]
    series, lowest = [], min(some[0].asked) / 3
    for number, asked in enumerate(some[0].asked, 1):
        reached = [s.reached[number - 1] for s in some]
        name = f"asked for {share_text(asked)}"
        series.append(Series(name, number, sizes, reached, pointed=True))
        ends = (min(sizes) / 2, max(sizes) * 2)
        series.append(Series("", 0, ends, (asked, asked)))
    rows = (
        (f"{s.people:,}", share_text(asked), share_text(reached), f"{s.non_mated:,}")
        for s in some
        for asked, reached in zip(s.asked, s.reached, strict=True)
    )
    ticks = tuple((float(size), f"{size:,}") for size in sizes)
    counted = "; ".join(f"{s.non_mated:,} among {s.people:,}" for s in some)
    return Diagram(
        title="Strangers who get a name, by gallery size",
        caption="The false-positive identification rate (FPIR) is the share of strangers who "
        "wrongly get a name. Dotted: the rate asked for; with points: the rate measured. Searches "
        f"by strangers: {counted}. A rate of 0 is drawn on the lower edge.",
        x=Axis("people in the gallery", min(sizes) / 2, max(sizes) * 2, ticks, log=True),
        y=decades("strangers named (FPIR)", lowest, max(0.1, *(max(s.reached) for s in some))),
        series=tuple(series),
        table=Table(("people", "asked for", "measured", "searches"), tuple(rows)),
    )


# A training


def training_diagrams(training: Training) -> list[Diagram]:
    """Return the loss, accuracy and speed of a training by step."""
    lines = training.evaluations
    steps = [line["step"] for line in lines]
    planned = (training.now or {}).get("steps")
    last = max(float(planned) if type(planned) is int else 0.0, steps[-1])
    x = linear("step", 0.0, last)
    measure = validated_by(training)
    losses = [line["loss"] for line in lines]
    shares = [line["one_shot_validation"] for line in lines]
    bests = [line["best"] for line in lines]
    speeds = [line["pictures_per_s"] for line in lines]
    low = floor_to_tenth(min(0.9, *shares, *bests))
    return [
        Diagram(
            title="Loss",
            caption="Of the last batch before each evaluation. Lower is better; batches vary.",
            x=x,
            y=linear("loss", 0.0, 1.05 * max(*losses, 1e-3)),
            series=(Series("loss", 1, steps, losses, pointed=len(steps) < 30),),
            table=steps_table(steps, "loss", [f"{loss:.4g}" for loss in losses]),
        ),
        Diagram(
            title=measure,
            caption="Of the averaged weights, on held-out data. The best weights are kept.",
            x=x,
            y=linear(measure, low, 1.0, "%", scale=100),
            series=(
                Series("at this step", 1, steps, shares, pointed=len(steps) < 30),
                Series("best so far", 2, steps, bests),
            ),
            table=steps_table(steps, measure, [f"{100 * share:.2f}%" for share in shares]),
        ),
        Diagram(
            title="Speed",
            caption="Pictures per second, on average since the run started or was resumed.",
            x=x,
            y=linear("pictures per second", 0.0, 1.1 * max(*speeds, 1e-3)),
            series=(Series("speed", 1, steps, speeds, pointed=len(steps) < 30),),
            table=steps_table(steps, "pictures per second", [f"{speed:.0f}" for speed in speeds]),
        ),
    ]


def validated_by(training: Training) -> str:
    """Return the name of the training's validation measure, as a heading."""
    stated = (training.now or {}).get("validated_by")
    measure = stated if isinstance(stated, str) else "one-shot accuracy"
    return measure[:1].upper() + measure[1:]


def steps_table(steps: list[float], name: str, cells: list[str]) -> Table:
    """Return a table of one value at each step."""
    rows = ((f"{step:,.0f}", cell) for step, cell in zip(steps, cells, strict=True))
    return Table(("step", name), tuple(rows))
