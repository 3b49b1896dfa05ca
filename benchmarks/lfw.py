"""Verification, open-set identification, calibration and the threshold's promise on LFW.

    python -m benchmarks.lfw [--json]

Crops of `lfw/` in the data folder, 112x112, aligned by five YuNet landmarks. LFW is a test set:
nothing was trained or chosen on it. Protocols as the data's README and Best-Rowden et al. (2014)
describe them: 6,000 pairs in 10 folds; 10 splits with half of the 5,724 people enrolled by one
photo, about 2,358 mated and 5,262 non-mated searches a split. Embedding 13,233 crops and their
mirror images takes 10 to 20 minutes on two cores the first time; runs/ keeps them.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from benchmarks.report import need, parse_arguments, show
from facesearch import Model
from facesearch.engine import openvino_is_installed
from facesearch.evaluation.metrics import (
    expected_calibration_error,
    fpir,
    rank_1_rate,
    threshold_at,
    tpir,
)
from facesearch.evaluation.protocols import (
    Ids,
    OpenSetSplit,
    open_set_splits,
    read_crops,
    verification_accuracy,
)
from facesearch.identification import SECOND_LOOK, look_again
from facesearch.openset import Strangers, fit_strangers, posterior
from facesearch.vectors import Floats, unit

CANDIDATES = 10
FPIRS = {"0.1": 0.001, "1": 0.01, "5": 0.05}
GALLERY_SIZES = (20, 100, 1000, 2862)
REPEATS = {20: 40, 100: 20, 1000: 1, 2862: 1}  # galleries drawn of each split


def embed_all(model: Model, folder: Path) -> tuple[dict[str, int], Floats, Floats]:
    """Return image name -> row, and the unit embeddings of the crops and their mirror images."""
    with (folder / "lfw_index.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    place = {f"{r['name']}_{int(r['image_number']):04d}": i for i, r in enumerate(rows)}
    return place, *embed_rows(model, folder, rows, "lfw")


def embed_rows(
    model: Model, folder: Path, rows: list[dict[str, str]], name: str
) -> tuple[Floats, Floats]:
    """Return the embeddings (n, dim) of an index's `rows` and of their mirror images.

    They are kept in runs/ under `name`, which stands for these very rows.
    """
    cache = Path("runs") / f"{name}_{model.fingerprint}.npz"
    if cache.exists():
        with np.load(cache) as stored:
            return stored["plain"], stored["mirrored"]
    plain, mirrored = [], []
    for start in range(0, len(rows), 256):
        batch = read_crops(folder, rows[start : start + 256])
        plain.append(model.embed(batch))
        mirrored.append(model.embed(batch[:, :, ::-1]))
        print(f"\r{start + len(batch):,} of {len(rows):,} crops", end="", file=sys.stderr)
    cache.parent.mkdir(exist_ok=True)
    np.savez(cache, plain=np.concatenate(plain), mirrored=np.concatenate(mirrored))
    return np.concatenate(plain), np.concatenate(mirrored)


class SecondLooks:
    """The embeddings of a second look, made when first asked for."""

    def __init__(self, model: Model, folder: Path, plain: Floats) -> None:
        with (folder / "lfw_index.csv").open() as stream:
            self._rows = list(csv.DictReader(stream))
        self._model, self._folder, self._plain = model, folder, plain
        self._made: dict[int, Floats] = {}

    def of(self, rows: Ids) -> Floats:
        """Return the averages over six views (n, dim) of these rows' crops."""
        new = np.array([row for row in dict.fromkeys(rows.tolist()) if row not in self._made])
        for some in np.array_split(new, max(1, len(new) // 64)):
            if len(some):
                crops = read_crops(self._folder, [self._rows[row] for row in some])
                again = look_again(self._model, crops, self._plain[some])
                self._made.update(zip(some.tolist(), again, strict=True))
        return np.stack([self._made[row] for row in rows.tolist()])


def head_scores(model: Model, strangers: Strangers, probes: Floats, people: Floats) -> Floats:
    """Return standard scores (n, N): the head's for the 10 nearest by raw cosine, else -inf.

    `probes` (n, dim) and `people` (N, dim) are unit rows as a gallery holds them.
    """
    order = np.argpartition(-(probes @ people.T), CANDIDATES, axis=1)[:, :CANDIDATES]
    centred, references = strangers.centred(probes), strangers.centred(people)
    scores = np.full((len(probes), len(people)), -np.inf, np.float32)
    # the head's own arithmetic, with every code computed once
    codes, probe_codes = model.head.codes(references), model.head.codes(centred)
    for row, places in enumerate(order):
        gaps = np.abs(codes[places] - probe_codes[row])
        euclidean = gaps @ model.head.weights / model.head.unit_distance
        scores[row, places] = 1 - euclidean**2 / 2
    return strangers.standard(scores)


def identification(
    model: Model, split: OpenSetSplit, plain: Floats, mirrored: Floats, again: SecondLooks
) -> dict[str, float]:
    """Return the rates of one split by plain cosine, and by the head as facesearch uses it."""
    both = unit(plain + mirrored)
    people = both[split.gallery]
    strangers = fit_strangers(people, len(people), model.cohort)
    cosine = {kind: plain[rows] @ plain[split.gallery].T for kind, rows in split.probes.items()}
    # the head on the very same rows as the cosine: what re-ranking alone costs or gains
    nobody = Strangers(len(people), np.zeros(model.dim, np.float32), 0.0, 1.0)
    bare = {
        kind: head_scores(model, nobody, plain[rows], plain[split.gallery])
        for kind, rows in split.probes.items()
    }
    # the whole: mirrored references, centred, a second look near the threshold
    whole = {}
    for kind, rows in split.probes.items():
        whole[kind] = head_scores(model, strangers, plain[rows], people)
        first = whole[kind].max(1)
        close = np.zeros(len(rows), bool)
        for asked in FPIRS.values():
            close |= np.abs(first - strangers.threshold(asked)) < SECOND_LOOK
        whole[kind][close] = head_scores(model, strangers, again.of(rows[close]), people)
    figures: dict[str, float] = {}
    for name, scores in (("cosine", cosine), ("bare_head", bare), ("head", whole)):
        figures[f"{name}_rank1"] = rank_1_rate(scores["mated"], split.owners)
        for percent, asked in FPIRS.items():
            threshold = threshold_at(asked, scores["non_mated"])
            rate = tpir(scores["mated"], split.owners, threshold)
            figures[f"{name}_tpir_at_fpir_{percent}pct"] = rate
    limit = strangers.threshold(0.01)
    figures["second_looks"] = float(np.mean(np.abs(whole["mated"].max(1) - limit) < SECOND_LOOK))
    figures["tpir_at_default"] = tpir(whole["mated"], split.owners, limit)
    confidence, right, weight = [], [], []
    for kind, z in whole.items():
        nearest = np.argsort(-z, axis=1)[:, :CANDIDATES]
        for row, places in enumerate(nearest):
            llrs = model.evidence.llr(z[row, places])
            confidence.append(float(posterior(llrs, len(people), 0.5)[0][0]))
            right.append(kind == "mated" and places[0] == split.owners[row])
            weight.append(0.5 / len(z))  # as many mated as non-mated: the prior 1/2
    figures["ece"] = expected_calibration_error(
        np.array(confidence), np.array(right), np.array(weight)
    )
    return figures


def promised_rates(
    model: Model, splits: list[OpenSetSplit], plain: Floats, mirrored: Floats
) -> dict[str, float]:
    """Return the FPIR measured for each asked one at each gallery size, over the splits."""
    both = unit(plain + mirrored)
    got: dict[str, list[float]] = {}
    for number, split in enumerate(splits):
        for size in GALLERY_SIZES:
            for repeat in range(REPEATS[size]):
                rng = np.random.default_rng((number, size, repeat))
                chosen = rng.permutation(split.gallery)[:size]
                strangers = fit_strangers(both[chosen], len(chosen), model.cohort)
                references = strangers.centred(both[chosen])
                best = [  # in parts, to bound the memory
                    (strangers.centred(plain[probes]) @ references.T).max(1)
                    for probes in np.array_split(split.probes["non_mated"], 8)
                ]
                z = strangers.standard(np.concatenate(best))[:, None]
                for percent, asked in FPIRS.items():
                    share = fpir(z, strangers.threshold(asked))
                    got.setdefault(f"fpir_asked_{percent}pct_n{size}", []).append(share)
    return {name: float(np.mean(shares)) for name, shares in got.items()}


def main() -> None:
    arguments = parse_arguments(__doc__)
    folder = need(arguments.data / "lfw")
    model = Model.load("default", engine="openvino" if openvino_is_installed() else "opencv")
    place, plain, mirrored = embed_all(model, folder)
    figures = {"verification_accuracy": verification_accuracy(folder / "pairs.txt", place, plain)}
    splits = open_set_splits(folder, place)
    again = SecondLooks(model, folder, plain)
    each = [identification(model, split, plain, mirrored, again) for split in splits]
    for name in each[0]:
        values = np.array([one[name] for one in each])
        figures[name] = float(values.mean())
        figures[f"{name}_std"] = float(values.std())
    for metric in ("rank1", "tpir_at_fpir_0.1pct", "tpir_at_fpir_1pct", "tpir_at_fpir_5pct"):
        for name in ("bare_head", "head"):
            gains = np.array([one[f"{name}_{metric}"] - one[f"cosine_{metric}"] for one in each])
            figures[f"{name}_{metric}_minus_cosine"] = float(gains.mean())
            figures[f"{name}_{metric}_minus_cosine_std"] = float(gains.std())
    figures |= promised_rates(model, splits, plain, mirrored)
    figures["mated_searches"] = float(np.mean([len(s.probes["mated"]) for s in splits]))
    figures["non_mated_searches"] = float(np.mean([len(s.probes["non_mated"]) for s in splits]))
    show(
        {name: round(figure, 5) for name, figure in figures.items()},
        "LFW, aligned crops; fractions; mean and standard deviation over 10 splits",
        as_json=arguments.json,
    )


if __name__ == "__main__":
    main()
