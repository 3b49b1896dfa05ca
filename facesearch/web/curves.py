"""What was measured of a model -> the diagrams that show it."""

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

MERGED = 4  # bins that are drawn as one: fine ones are rough
RATES = (0.1, 0.05, 0.01, 0.001, 0.0001, 0.00001)  # false-match rates that tables tell


def model_diagrams(figures: Figures) -> list[Diagram]:
    """Return all that is shown of a model."""
    diagrams = [
        score_diagram(figures),
        roc_diagram(figures.pairs),
        det_diagram(figures.pairs),
        reliability_diagram(figures),
    ]
    return [*diagrams, fpir_diagram(figures.searches)] if figures.searches else diagrams


def measured_on(figures: Figures) -> str:
    """Return on whom a model was measured, as a sentence."""
    pairs = figures.pairs
    seen = (
        "The calibration was made from the same ones, which flatters it."
        if figures.calibrated_on
        else "None of them had a part in its calibration."
    )
    return (
        f"Measured on {figures.made_from}: {pairs.mated.sum():,} pairs that belong together and "
        f"{pairs.non_mated.sum():,} that do not. {seen}"
    )


def score_diagram(figures: Figures, mark: Mark | None = None) -> Diagram:
    """Return how scores of both kinds of pairs lie, with a mark where one pair stands."""
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
    names = ("two people", "one person")
    return Diagram(
        title="Scores of pairs",
        caption="How often pairs get which score. Right of 0 they are rather one person's; at "
        "the same height both are alike frequent.",
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
    """Return what shares of both kinds of pairs reach a score, for round scores."""
    shares = [pairs.at_least(counts) for counts in (pairs.non_mated, pairs.mated)]
    scores = [value for value, _ in linear("", pairs.edges[0], pairs.edges[-1], most=12).ticks]
    rows = (
        (f"{score:g}", *(share_text(float(np.interp(score, pairs.edges, s))) for s in shares))
        for score in scores
    )
    return Table(("score", "of two people at or above it", "of one person"), tuple(rows))


def rates(pairs: PairFigures) -> tuple[list[float], list[float]]:
    """Return false-match and false-non-match rate at each edge where the former changes."""
    fmr, tmr = pairs.at_least(pairs.non_mated), pairs.at_least(pairs.mated)
    some = (fmr > 0) & np.append(True, np.diff(fmr) < 0)  # of equal ones the best
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
        ("false matches (FMR)", "missed (FNMR)", "matched rightly (1 - FNMR)"), tuple(rows)
    )


def roc_diagram(pairs: PairFigures) -> Diagram:
    """Return the receiver operating characteristic, false matches on a logarithmic axis."""
    fmr, fnmr = rates(pairs)
    matched = [1 - missed for missed in fnmr]
    low = min(0.95, max(0.0, floor_to_tenth(min(matched))))
    return Diagram(
        title="ROC: what is matched rightly at which price",
        caption="For every threshold: the share of pairs of one person that are matched, and the "
        "share of pairs of two that are, too. Further up and left is better.",
        x=decades("false-match rate", min(fmr), 1.0),
        y=linear("matched rightly", low, 1.0, " %", scale=100),
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
        title="DET: the two errors against each other",
        caption="The same on axes that show small errors. Further down and left is better.",
        x=decades("false-match rate", min(fmr), 1.0),
        y=decades("missed: false-non-match rate", min(y, default=0.001), 1.0),
        series=(Series("this model", 1, x, y),),
        table=rate_table(pairs),
    )


def reliability_diagram(figures: Figures) -> Diagram:
    """Return how often what was said with a probability came true."""
    measured = [("pairs", figures.pairs.reliability())]
    measured += [(f"among {s.people:,}", s.reliability()) for s in figures.searches]
    percent = (" %", 100.0)
    rows = (
        (name, share_text(stated), share_text(true), f"{n:,}")
        for name, (ns, said, truth) in measured
        for n, stated, true in zip(ns, said, truth, strict=True)
    )
    errors = "; ".join(
        f"among {s.people:,} by {share_text(s.calibration_error)}" for s in figures.searches
    )
    return Diagram(
        title="Calibration: does what it says come true?",
        caption="Of all that is said with a probability of 80 %, 80 % should be true: then the "
        "points lie on the straight line. Pairs, and the first name of searches in galleries."
        + (f" Off in the mean: {errors}." if errors else ""),
        x=linear("probability that was said", 0.0, 1.0, percent[0], scale=percent[1]),
        y=linear("came true", 0.0, 1.0, percent[0], scale=percent[1]),
        series=(
            Series("as it should be", 0, (0.0, 1.0), (0.0, 1.0)),
            *(
                Series(name, number, stated, true, pointed=True)
                for number, (name, (_, stated, true)) in enumerate(measured, 1)
            ),
        ),
        table=Table(("of", "said", "came true", "how many"), tuple(rows)),
    )


def fpir_diagram(searches: Iterable[SearchFigures]) -> Diagram:
    """Return how many strangers got a name, where so many were asked for, by gallery size."""
    some = list(searches)
    sizes = [s.people for s in some]
    series, lowest = [], min(some[0].asked) / 3
    for number, asked in enumerate(some[0].asked, 1):
        reached = [s.reached[number - 1] for s in some]
        name = f"asked {share_text(asked)}"
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
        title="Strangers who get a name, by size of the gallery",
        caption="The false-positive rate that was asked for, dashed, and what it came to. Searches "
        f"by strangers: {counted}. A rate of none lies on the lower edge.",
        x=Axis("people in the gallery", min(sizes) / 2, max(sizes) * 2, ticks, log=True),
        y=decades("strangers named (FPIR)", lowest, max(0.1, *(max(s.reached) for s in some))),
        series=tuple(series),
        table=Table(("people", "asked", "reached", "searches"), tuple(rows)),
    )


# A training


def training_diagrams(training: Training) -> list[Diagram]:
    """Return loss, accuracy and speed of a training over its steps."""
    lines = training.evaluations
    steps = [line["step"] for line in lines]
    told = (training.now or {}).get("steps")
    last = max(float(told) if type(told) is int else 0.0, steps[-1])
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
            caption="Of the last batch before each evaluation: lower is better, and it jumps.",
            x=x,
            y=linear("loss", 0.0, 1.05 * max(*losses, 1e-3)),
            series=(Series("loss", 1, steps, losses, pointed=len(steps) < 30),),
            table=steps_table(steps, "loss", [f"{loss:.4g}" for loss in losses]),
        ),
        Diagram(
            title=measure,
            caption="Of the averaged weights, on what is not trained on; the best ones are kept.",
            x=x,
            y=linear(measure, low, 1.0, " %", scale=100),
            series=(
                Series("at this step", 1, steps, shares, pointed=len(steps) < 30),
                Series("best so far", 2, steps, bests),
            ),
            table=steps_table(steps, measure, [f"{100 * share:.2f} %" for share in shares]),
        ),
        Diagram(
            title="Speed",
            caption="Pictures a second, all since the run was started or went on.",
            x=x,
            y=linear("pictures a second", 0.0, 1.1 * max(*speeds, 1e-3)),
            series=(Series("speed", 1, steps, speeds, pointed=len(steps) < 30),),
            table=steps_table(steps, "pictures a second", [f"{speed:.0f}" for speed in speeds]),
        ),
    ]


def validated_by(training: Training) -> str:
    """Return what the training's validation measures, as a heading."""
    told = (training.now or {}).get("validated_by")
    measure = told if isinstance(told, str) else "one-shot accuracy"
    return measure[:1].upper() + measure[1:]


def steps_table(steps: list[float], name: str, cells: list[str]) -> Table:
    """Return what was told at each step."""
    rows = ((f"{step:,.0f}", cell) for step, cell in zip(steps, cells, strict=True))
    return Table(("step", name), tuple(rows))
