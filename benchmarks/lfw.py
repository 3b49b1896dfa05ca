"""Verification, open-set identification, calibration and the threshold's promise on LFW.

    python -m benchmarks.lfw [--json [FILE]]

Crops of `lfw/` in the data folder, 112x112, aligned by five YuNet landmarks. LFW is a test set:
nothing was trained or chosen on it. Protocols as the data's README and Best-Rowden et al. (2014)
describe them: 6,000 pairs in 10 folds; 10 splits with half of the 5,724 people enrolled by one
photo, about 2,358 mated and 5,262 non-mated searches a split. The default model, and where that is
another, SFace beside it (sface_...), and dlib's ResNet (dlib_..., benchmarks/dlib_rival.py). Each
model looks at 13,233 crops, as at probes, as at references and as where the matter is open, which
takes 10 to 20 minutes on two cores the first time, dlib a quarter of an hour; runs/ keeps that.

- `cosine_`: search codes of one photo each. `bare_head_`: the head on the very same rows.
- `centred_cosine_`, `centred_head_`: references of two views, the gallery's center subtracted, the
  same for both; `head_gain_` is the head's order above that of the search code's cosine.
- `head_`: the whole, as facesearch does it: that, and a second look near the threshold.
- `fp16_share`, `pq_share`: the whole's TPIR at FPIR 1 % with candidates from a compressed index, as
  a share of that with candidates from the exact one.
- `over_sface_`: the whole above SFace's whole.
- `_low`, `_high`: where 95 % of 1,000 drawings of people lie (facesearch/evaluation/bootstrap.py).
- `verification_accuracy` and `tar_at_far_0.1pct`: by the head, both photos looked at again, as
  `facesearch verify` compares; `one_look_...`: of one look; `cosine_...`: by the cosine of the
  search codes of one look.
"""

import csv
import hashlib
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import dlib_rival
from benchmarks.report import need, parse_arguments, show
from facesearch import Model
from facesearch.candidates import CANDIDATES, find_candidates
from facesearch.embedding import embed_by_views
from facesearch.engine import engine_for_many
from facesearch.evaluation.bootstrap import FPIRS, Answers, Drawn, draws, interval, rates
from facesearch.evaluation.metrics import expected_calibration_error, fpir, tar_at_far
from facesearch.evaluation.protocols import (
    Ids,
    OpenSetSplit,
    Pairs,
    crops_in_parts,
    lfw_pairs,
    open_set_splits,
    verification_accuracy,
)
from facesearch.identification import BORDERLINE_VIEWS, REFERENCE_VIEWS, compare, is_borderline
from facesearch.openset import Strangers, fit_strangers, posterior
from facesearch.vectors import Floats
from facesearch_indexes.faiss_index import FaissIndex

GALLERY_SIZES = (20, 100, 1000, 2862)
REPEATS = {20: 40, 100: 20, 1000: 1, 2862: 1}  # galleries drawn of each split
COMPRESSED = ("fp16", "pq")  # kinds of index

Rows = Sequence[dict[str, str]]  # of an index.csv


def read_index(folder: Path) -> list[dict[str, str]]:
    """Return the rows of LFW's index, one a crop."""
    with (folder / "lfw_index.csv").open() as stream:
        return list(csv.DictReader(stream))


def places(rows: Rows) -> dict[str, int]:
    """Return image name -> row of LFW's index."""
    return {f"{r['name']}_{int(r['image_number']):04d}": i for i, r in enumerate(rows)}


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Unit embeddings (n, dim) of crops: of one look, as references, and looked at again."""

    once: Floats
    references: Floats
    again: Floats


def embed_all(model: Model, folder: Path) -> tuple[dict[str, int], Looks]:
    """Return image name -> row, and the embeddings of LFW's crops."""
    rows = read_index(folder)
    return places(rows), embed_rows(model, folder, rows, "lfw")


def embed_rows(model: Model, folder: Path, rows: Rows, name: str) -> Looks:
    """Return the embeddings of an index's `rows`; runs/ keeps them."""
    cache = cache_file(
        rows, f"{name}_looks_{REFERENCE_VIEWS}_{BORDERLINE_VIEWS}", model.fingerprint
    )
    if cache.exists():
        with np.load(cache) as stored:
            return Looks(stored["once"], stored["references"], stored["again"])

    def told(n_done: int) -> None:
        print(f"\r{n_done:,} of {len(rows):,} crops", end="", file=sys.stderr)

    detector = model.detector
    parts = crops_in_parts(folder, rows, told)
    seen = Looks(*embed_by_views(model.embed, detector, parts, REFERENCE_VIEWS, BORDERLINE_VIEWS))
    cache.parent.mkdir(exist_ok=True)
    np.savez(cache, once=seen.once, references=seen.references, again=seen.again)
    return seen


def cache_file(rows: Rows, name: str, made_by: str) -> Path:
    """Return where the embeddings of these very `rows` are kept; `name` tells a human of which."""
    digest = hashlib.sha256(repr([sorted(row.items()) for row in rows]).encode()).hexdigest()
    return Path("runs") / f"{name}_{digest[:8]}_{made_by}.npz"


@dataclass(frozen=True, slots=True, eq=False)
class EnrolledRows:
    """A gallery of one template a person: both have the number of their row in `people`."""

    people: Floats  # (N, dim)

    def people_of(self, template_ids: Ids) -> Mapping[int, int]:
        return {number: number for number in template_ids.tolist()}

    def references(self, people: Collection[int]) -> Mapping[int, Floats]:
        return {person: self.people[person] for person in people}


def head_scores(
    model: Model, strangers: Strangers, probes: Floats, people: Floats, kind: str = "flat"
) -> Floats:
    """Return standard scores (n, N): the head's for the candidates of each probe, else -inf.

    `probes` (n, dim) and `people` (N, dim) are unit rows as a gallery holds them; `kind` is that of
    the index that proposes candidates.
    """
    index = FaissIndex.build(np.arange(len(people)), model.search_codes(people), kind)
    found = find_candidates(probes, model, index, strangers, EnrolledRows(people))
    scores = np.full((len(probes), len(people)), -np.inf, np.float32)
    for row, (probe, candidates) in enumerate(zip(probes, found, strict=True)):
        _, standard = compare(probe, list(candidates.values()), strangers, model)
        scores[row, list(candidates)] = standard
    return scores


def centred_cosines(model: Model, probes: Floats, people: Floats) -> Floats:
    """Return the cosines (n, N) of the search codes, less the center of those of the gallery."""
    codes = model.search_codes(people)
    dim = codes.shape[1]
    # the cohort's mean is one of whole templates: of these the search code is a part, and shorter
    length = np.linalg.norm(people[:, :dim], axis=1).mean()
    cohort = replace(model.cohort, mean=model.cohort.mean[:dim] / length)
    strangers = fit_strangers(codes, len(codes), cohort)
    cosines: Floats = strangers.centered(model.search_codes(probes)) @ strangers.centered(codes).T
    return cosines


def strangers_to(model: Model, split: OpenSetSplit, looks: Looks) -> Strangers:
    """Return how strangers score against the people whom a split enrolls."""
    people = looks.references[split.gallery]
    return fit_strangers(people, len(people), model.cohort, model.head)


def centred_orders(model: Model, split: OpenSetSplit, looks: Looks) -> dict[str, Answers]:
    """Return the answers by the search code's cosine and by the head, on the same templates.

    Probes of one look, and both are centered by the gallery, as facesearch does it.
    """
    people, strangers = looks.references[split.gallery], strangers_to(model, split, looks)
    probes = {kind: looks.once[rows] for kind, rows in split.probes.items()}
    cosines = {kind: centred_cosines(model, rows, people) for kind, rows in probes.items()}
    scores = {kind: head_scores(model, strangers, rows, people) for kind, rows in probes.items()}
    return {
        "centred_cosine": Answers.of(cosines, split.owners),
        "centred_head": Answers.of(scores, split.owners),
    }


def bare_orders(model: Model, split: OpenSetSplit, once: Floats) -> dict[str, Answers]:
    """Return the answers by the search code's cosine and by the head, of one photo each.

    On the very same rows: what re-ranking alone costs or gains.
    """
    people = once[split.gallery]
    nobody = Strangers(len(people), np.zeros(model.dim, np.float32), 0.0, 1.0)
    codes = model.search_codes(people)
    probes = {kind: once[rows] for kind, rows in split.probes.items()}
    cosines = {kind: model.search_codes(rows) @ codes.T for kind, rows in probes.items()}
    scores = {kind: head_scores(model, nobody, rows, people) for kind, rows in probes.items()}
    return {
        "cosine": Answers.of(cosines, split.owners),
        "bare_head": Answers.of(scores, split.owners),
    }


def whole_scores(
    model: Model,
    strangers: Strangers,
    split: OpenSetSplit,
    looks: Looks,
    kind: str = "flat",
) -> dict[str, Floats]:
    """Return the standard scores (searches, N) of both kinds of search, as facesearch makes them.

    Near a threshold probes are looked at again.
    """
    people, whole = looks.references[split.gallery], {}
    for asking, rows in split.probes.items():
        scores = head_scores(model, strangers, looks.once[rows], people, kind)
        first = scores.max(1)
        close = np.zeros(len(rows), bool)
        for asked in FPIRS.values():
            close |= is_borderline(first, strangers.threshold(asked))
        if close.any():
            scores[close] = head_scores(model, strangers, looks.again[rows[close]], people, kind)
        whole[asking] = scores
    return whole


def calibration_error(model: Model, whole: dict[str, Floats], owners: Ids) -> float:
    """Return the ECE of the probability shown for the first candidate, at a prior of 1/2."""
    confidence, right, weight = [], [], []
    for kind, z in whole.items():
        nearest = np.argsort(-z, axis=1)[:, :CANDIDATES]
        for row, at in enumerate(nearest):
            llrs = model.evidence.llr(z[row, at])
            confidence.append(float(posterior(llrs, z.shape[1], 0.5)[0][0]))
            right.append(kind == "mated" and at[0] == owners[row])
            weight.append(0.5 / len(z))  # as many mated as non-mated: the prior 1/2
    return expected_calibration_error(np.array(confidence), np.array(right), np.array(weight))


def identification(
    model: Model, split: OpenSetSplit, looks: Looks
) -> tuple[dict[str, Answers], dict[str, float]]:
    """Return every system's answers to one split, and the figures of the whole at its threshold."""
    answers = bare_orders(model, split, looks.once) | centred_orders(model, split, looks)
    strangers = strangers_to(model, split, looks)
    whole = whole_scores(model, strangers, split, looks)
    answers["head"] = Answers.of(whole, split.owners)
    for kind in COMPRESSED:
        compressed = whole_scores(model, strangers, split, looks, kind)
        answers[kind] = Answers.of(compressed, split.owners)
    limit = strangers.threshold(0.01)
    mated, at_first = answers["head"].mated, answers["centred_head"].mated
    return answers, {
        "mated_second_looks": float(np.mean(is_borderline(at_first, limit))),
        "tpir_at_default": float(np.mean(answers["head"].right & (mated > limit))),
        "ece": calibration_error(model, whole, split.owners),
    }


def promised_rates(model: Model, splits: list[OpenSetSplit], looks: Looks) -> dict[str, float]:
    """Return the FPIR measured for each asked one at each gallery size, over the splits."""
    got: dict[str, list[float]] = {}
    for number, split in enumerate(splits):
        for size in GALLERY_SIZES:
            for repeat in range(REPEATS[size]):
                rng = np.random.default_rng((number, size, repeat))
                chosen = rng.permutation(split.gallery)[:size]
                people = looks.references[chosen]
                strangers = fit_strangers(people, len(chosen), model.cohort, model.head)
                references = strangers.centered(people)
                best = [  # in parts, to bound the memory
                    (strangers.centered(looks.once[probes]) @ references.T).max(1)
                    for probes in np.array_split(split.probes["non_mated"], 8)
                ]
                z = strangers.standard(np.concatenate(best))[:, None]
                for percent, asked in FPIRS.items():
                    share = fpir(z, strangers.threshold(asked))
                    got.setdefault(f"fpir_asked_{percent}pct_n{size}", []).append(share)
    return {name: float(np.mean(shares)) for name, shares in got.items()}


def verification(model: Model, pairs: Pairs, looks: Looks) -> dict[str, float]:
    """Return accuracy and TAR of the pairs: by the head and by the cosine of the search codes."""
    once, again = looks.once, looks.again
    codes = model.search_codes(once)
    scores = {
        "": compared(model, again[pairs.first], again[pairs.second]),
        "one_look_": compared(model, once[pairs.first], once[pairs.second]),
        "cosine_": (codes[pairs.first] * codes[pairs.second]).sum(1),
    }
    return {
        f"{how}{name}": figure
        for how, of_pairs in scores.items()
        for name, figure in accuracies(of_pairs, pairs).items()
    }


def compared(model: Model, probes: Floats, references: Floats) -> Floats:
    """Return the log-likelihood ratios (n,) of each of `probes` with its one of `references`."""
    pairs = zip(probes, references, strict=True)
    return np.array([model.compare(probe, other[None])[0] for probe, other in pairs])


def accuracies(scores: Floats, pairs: Pairs) -> dict[str, float]:
    """Return how well the pairs' `scores` (n,) tell one person from two."""
    return {
        "verification_accuracy": verification_accuracy(scores, pairs.mated),
        "tar_at_far_0.1pct": tar_at_far(scores, pairs.mated, 0.001),
    }


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a model reached on LFW."""

    figures: dict[str, float]
    rates: dict[str, dict[str, Drawn]]  # system -> rate -> its drawings


def measured(model: Model, folder: Path) -> Measured:
    """Return all that is measured of one model."""
    place, looks = embed_all(model, folder)
    splits = open_set_splits(folder, place)
    figures = verification(model, lfw_pairs(folder / "pairs.txt", place), looks)
    each = [identification(model, split, looks) for split in splits]
    answers = {name: [one[name] for one, _ in each] for name in each[0][0]}
    drawn, of_splits = open_set_figures(splits, answers)
    figures |= of_splits
    for name in each[0][1]:
        figures |= mean_and_std(name, [more[name] for _, more in each])
    figures |= gains("head_gain", drawn["centred_head"], drawn["centred_cosine"])
    for kind in COMPRESSED:
        figures[f"{kind}_share"] = share_kept(drawn[kind], drawn["head"])
    return Measured(figures | promised_rates(model, splits, looks), drawn)


def open_set_figures(
    splits: Sequence[OpenSetSplit], answers: dict[str, list[Answers]]
) -> tuple[dict[str, dict[str, Drawn]], dict[str, float]]:
    """Return the rates of each system as drawn by people, and mean and deviation over splits.

    `answers` holds one a split; what differs from the system "cosine" is paired by split.
    """
    counts = draws(n_people(splits))
    drawn = {name: rates(given, splits, counts) for name, given in answers.items()}
    figures: dict[str, float] = {}
    of_split = {
        name: [rates([a], [s], counts[:1]) for a, s in zip(given, splits, strict=True)]
        for name, given in answers.items()
    }
    for name, each in of_split.items():
        for rate in each[0]:
            values = [float(one[rate][0]) for one in each]
            figures |= mean_and_std(f"{name}_{rate}", values)
            if name in ("bare_head", "head"):
                plain = [float(one[rate][0]) for one in of_split["cosine"]]
                differences = [a - b for a, b in zip(values, plain, strict=True)]
                figures |= mean_and_std(f"{name}_{rate}_minus_cosine", differences)
    return drawn, figures


def n_people(splits: Sequence[OpenSetSplit]) -> int:
    """Return how many people there are to draw from."""
    return 1 + max(int(asking.max()) for split in splits for asking in split.askers.values())


def mean_and_std(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return mean and standard deviation of one figure's values in the splits."""
    return {name: float(np.mean(values)), f"{name}_std": float(np.std(values))}


def gains(name: str, ours: dict[str, Drawn], theirs: dict[str, Drawn]) -> dict[str, float]:
    """Return by how much each of our rates is above theirs, paired, with its interval."""
    figures: dict[str, float] = {}
    for rate, drawn in ours.items():
        figures |= interval(f"{name}_{rate.replace('at_fpir_', '')}", drawn - theirs[rate])
    return figures


def share_kept(compressed: dict[str, Drawn], exact: dict[str, Drawn]) -> float:
    """Return the TPIR at FPIR 1 % with compressed candidates, as a share of the exact index's."""
    rate = "tpir_at_fpir_1pct"
    return float(compressed[rate][0] / exact[rate][0])


def dlib_figures(folder: Path) -> dict[str, float]:
    """Return what dlib's network reaches, by its distance, of one photo each."""
    rows = read_index(folder)
    place, embedded = places(rows), embed_by_dlib(folder, rows, "lfw")
    pairs, splits = lfw_pairs(folder / "pairs.txt", place), open_set_splits(folder, place)
    distances = ((embedded[pairs.first] - embedded[pairs.second]) ** 2).sum(1)
    _, figures = open_set_figures(splits, {"dlib": dlib_answers(splits, embedded)})
    return figures | {f"dlib_{n}": f for n, f in accuracies(-distances, pairs).items()}


def embed_by_dlib(folder: Path, rows: Rows, name: str) -> Floats:
    """Return dlib's embeddings (n, 128) of an index's `rows`; runs/ keeps them."""
    cache = cache_file(rows, name, "dlib")
    if cache.exists():
        with np.load(cache) as stored:
            embedded: Floats = stored["plain"]
            return embedded

    def told(n_done: int) -> None:
        print(f"\r{n_done:,} of {len(rows):,} crops by dlib", end="", file=sys.stderr)

    model = dlib_rival.DlibModel()
    plain = np.concatenate([*map(model.embed, crops_in_parts(folder, rows, told))])
    cache.parent.mkdir(exist_ok=True)
    np.savez(cache, plain=plain)
    return plain


def dlib_answers(splits: Sequence[OpenSetSplit], embedded: Floats) -> list[Answers]:
    """Return the answers by dlib's distance, one a split."""
    answers = []
    for split in splits:
        people = embedded[split.gallery]
        scores = {k: dlib_rival.scores(embedded[rows], people) for k, rows in split.probes.items()}
        answers.append(Answers.of(scores, split.owners))
    return answers


def main() -> None:
    arguments = parse_arguments(__doc__)
    folder = need(arguments.data / "lfw")
    engine = engine_for_many()
    model, sface = (Model.load(name, engine=engine) for name in ("default", "sface"))
    ours = measured(model, folder)
    figures = ours.figures
    if sface.folder != model.folder:
        theirs = measured(sface, folder)
        figures |= {f"sface_{name}": figure for name, figure in theirs.figures.items()}
        figures |= gains("over_sface", ours.rates["head"], theirs.rates["head"])
    if dlib_rival.is_installed():
        figures |= dlib_figures(folder)
    splits = open_set_splits(folder, places(read_index(folder)))
    for kind in ("mated", "non_mated"):
        figures[f"{kind}_searches"] = float(np.mean([len(s.probes[kind]) for s in splits]))
    show(
        {name: round(figure, 5) for name, figure in figures.items()},
        "LFW, aligned crops; fractions; mean and standard deviation over 10 splits",
        as_json=arguments.json,
    )


if __name__ == "__main__":
    main()
