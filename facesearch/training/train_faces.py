"""Crops of faces, or photos of people -> the folder of a face model, step by step.

faces -> people to train on and to validate with -> training -> graph -> calibration and figures

A model that is adapted to a user's photos is written only if it is better than its start in the
same searches, on people whom it was not trained on.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from facesearch.alignment import CROP_LANDMARKS, CROP_PX
from facesearch.detection.factory import make_detector
from facesearch.embedding import Encoder, embed_by_views
from facesearch.engine import engine_for_many, make_engine
from facesearch.errors import DataError, TrainingError
from facesearch.head import L1SigmoidHead
from facesearch.identification import REFERENCE_VIEWS
from facesearch.manifest import subject
from facesearch.model import Model
from facesearch.openset import Cohort
from facesearch.training.calibration import Calibration, calibrate_by_cosine
from facesearch.training.data import Ids, TrainingSet
from facesearch.training.export import (
    About,
    atomic_folder,
    crops_by_part,
    hashes,
    write_manifest,
)
from facesearch.training.face_network import CODE, FaceBranch
from facesearch.training.face_recipe import Face
from facesearch.training.faces import Faces, are_crops, read_people, read_shards
from facesearch.training.figures import measure, report
from facesearch.training.kernels import avoid_faulty_kernels
from facesearch.training.loop import LOG, Progress, TrainingResult, train
from facesearch.training.onnx_graph import face_onnx
from facesearch.training.searches import Rates, Searches, open_set_rates
from facesearch.training.train_pictures import (
    MIN_CLASSES_TO_SPLIT,
    check_destination,
    draw_curves,
    split,
    training_set,
)
from facesearch.vectors import Floats

# Rotations in the head's code, which makes it as wide as SFace's. Compared with the cosine of the
# whole template, 16 lose 0.2 points of TPIR on the val people and 32 lose 0.1; neither loses any on
# families or politicians. But 32 take 10 ms of CPU per face instead of 4, and 2 MB more.
ROTATIONS = 16
MIN_PEOPLE_TO_CALIBRATE = 200  # to validate with; with fewer the start's calibration is kept
VALIDATION_PEOPLE = 20  # at least, but no more than half of those with two photos
# Of an adaptation:
PASSES = 30  # over the photos
STEPS = (50, 600)  # at least and at most
EVALUATIONS = 10
WEIGHTS_LICENCE = (
    "first trunk: SFace, Apache-2.0; second trunk: MobileFaceNet_TF by sirius-ai, Apache-2.0, "
    "trained on here"
)
RESEARCH_LICENCE = "research sets, no image of which is in this folder"


@dataclass(frozen=True, slots=True, eq=False)
class FaceTraining:
    """The result of training a face model."""

    trained: TrainingResult
    faces: Faces
    after: dict[str, Rates] | None  # by set of people; None if the training was interrupted
    before: dict[str, Rates] | None  # the start's, in the same searches; None unless adapting
    curves: Path | None  # None if the training was interrupted

    @property
    def written(self) -> bool:
        """Whether a model was written: training was completed, and an adaptation is better."""
        if self.after is None:
            return False
        return self.before is None or mean_tpir(self.after) > mean_tpir(self.before)


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Unit embeddings (n, dim) of crops in both roles."""

    probes: Floats  # from one view of each crop
    references: Floats  # from REFERENCE_VIEWS views


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedHead:
    """What a model needs besides its graph, and searches to measure it by."""

    head: L1SigmoidHead
    calibration: Calibration
    held_out: Searches  # by people whom neither was fitted to


def train_on_faces(
    source: Path,
    recipe: Face,
    model: Path,
    *,
    adapt: bool = False,
    steps: int | None = None,
    resume: bool = False,
    reading: Callable[[int], object] | None = None,
    watch: Callable[[Progress], object] = lambda progress: None,
) -> FaceTraining:
    """Train `recipe` on the faces in `source`; write the model folder `model`.

    `steps` replaces the recipe's number of steps. With `adapt` the model is written only if it is
    better than the start, and the number of steps depends on the number of photos. Files and errors
    are those of `train_on_pictures`. DataError is also raised if there are too few people to
    validate with or to calibrate, or if the start already identifies all of them.
    """
    avoid_faulty_kernels()
    model = model.resolve()
    check_destination(model, source, resume=resume)
    start = face_model(recipe.start)
    faces = read_faces(source, start, recipe.seed, reading)
    keep = keeps_calibration(faces, start)
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    elif adapt:
        recipe = adaptation(recipe, np.bincount(faces.training.classes))
    before = None
    if adapt:
        before = rates_by_set(faces, embed_all(start.folder, faces.validation), start.cohort)
        check_can_improve(before, faces, start)
    folder = model.with_name(f"{model.name}-training")
    trained = train(faces.training, faces.validation, recipe, folder, resume=resume, watch=watch)
    if trained.ended == "interrupted":
        return FaceTraining(trained, faces, None, before, None)
    curves = draw_curves(folder / LOG, folder / "curves.png", recipe.validated_by)
    branch = trained.network.branch
    assert isinstance(branch, FaceBranch)  # for the type checker
    graph = face_onnx(branch)
    with TemporaryDirectory() as made:
        (Path(made) / "branch.onnx").write_bytes(graph)
        embeddings = embed_all(Path(made), faces.validation)
    calibrated = calibrated_head(faces, embeddings, start if keep else None)
    after = rates_by_set(faces, embeddings, calibrated.calibration.cohort)
    result = FaceTraining(trained, faces, after, before, curves)
    if result.written:
        about = describe(result, recipe, start, source, model.name)
        with atomic_folder(model) as new:
            (new / "branch.onnx").write_bytes(graph)
            write_rest(new, about, calibrated)
    return result


def face_model(name_or_folder: str) -> Model:
    """Return the face model to start from. Raises TrainingError if it is of another kind."""
    model = Model.load(name_or_folder, engine_for_many())
    if subject(model.manifest) != "face":
        raise TrainingError(
            f"model {model.name} compares {subject(model.manifest)}s, but training on faces can "
            "only start from a model of faces"
        )
    return model


def read_faces(
    source: Path, start: Model, seed: int, reading: Callable[[int], object] | None
) -> Faces:
    """Return the faces in `source`, split into people to train on and people to validate with.

    Photos are cut for `start` and their people are split at random. Raises DataError if there are
    too few.
    """
    if are_crops(source):
        return read_shards(source, reading)
    people = read_people(source, start, reading)
    counts = np.bincount(people.classes)
    n_with_mates = int((counts > 1).sum())
    if n_with_mates < MIN_CLASSES_TO_SPLIT:
        raise DataError(
            f"{source} has {n_with_mates} people with two usable photos or more; it takes "
            f"{MIN_CLASSES_TO_SPLIT}, to train on some and to validate with others"
        )
    training, validation, _ = split(people, seed, min(VALIDATION_PEOPLE, n_with_mates // 2))
    return Faces(
        training=training_set(people.only(training), drawn=False),
        validation=training_set(people.only(validation), drawn=False),
        sets=("people",),
        skipped=people.skipped,
    )


def keeps_calibration(faces: Faces, start: Model) -> bool:
    """Return whether the model keeps the head and calibration of `start`: people are too few.

    Raises DataError if it cannot keep them, because the templates of `start` have only one code.
    """
    n_people = len(faces.validation.groups)
    if n_people >= MIN_PEOPLE_TO_CALIBRATE:
        return False
    if start.dim != FaceBranch.dim:
        raise DataError(
            f"{n_people} people are left to validate with, but calibrating a model that starts "
            f"from {start.name} takes {MIN_PEOPLE_TO_CALIBRATE}; --from default keeps the "
            "calibration of the default model"
        )
    return True


def check_can_improve(before: Mapping[str, Rates], faces: Faces, start: Model) -> None:
    """Raise DataError if no model could do better than `start` on the validation people."""
    if mean_tpir(before) >= 1:
        raise DataError(
            f"the model {start.name} already identifies all {len(faces.validation.groups)} people "
            "who are left to validate with, so a better model cannot be recognized; it takes more "
            "people, or photos that are harder to identify"
        )


def adaptation(recipe: Face, photos: Ids) -> Face:
    """Return `recipe` with the steps of PASSES over the photos; `photos` (people,) counts them."""
    batch = min(recipe.people * recipe.photos, int(np.minimum(photos, recipe.photos).sum()))
    steps = int(np.clip(PASSES * photos.sum() // batch, *STEPS))
    return replace(recipe, steps=steps, evaluate_every=steps // EVALUATIONS)


def embed_all(folder: Path, data: TrainingSet) -> Embeddings:
    """Return the embeddings of all crops of `data` by the graph in `folder`."""
    engine = engine_for_many()
    encoder = Encoder(make_engine(engine, folder / "branch.onnx"))
    detector = make_detector("yunet", engine=engine)
    parts = crops_by_part(data.pictures)
    return Embeddings(*embed_by_views(encoder.embed, detector, parts, REFERENCE_VIEWS))


def rates_by_set(faces: Faces, embeddings: Embeddings, cohort: Cohort) -> dict[str, Rates]:
    """Return the rates of searches among the validation people, separately for each set."""
    people = faces.validation.classes
    sets = faces.validation.groups[people]
    return {
        name: open_set_rates(searches_of(people, embeddings, sets == number), cohort)
        for number, name in enumerate(faces.sets)
    }


def mean_tpir(rates: Mapping[str, Rates]) -> float:
    """Return the mean TPIR of the sets: the higher it is, the better the model."""
    return float(np.mean([rate.tpir for rate in rates.values()]))


# The files next to the graph


def calibrated_head(faces: Faces, embeddings: Embeddings, keep: Model | None) -> CalibratedHead:
    """Return head and calibration: those of `keep`, if given, otherwise newly fitted ones.

    They are fitted to every second person, so that the others can measure them. Sets with many
    relatives are left out of both, since thresholds are about strangers.
    """
    validation = faces.validation
    people = validation.classes
    if keep is not None:
        kept = Calibration(
            keep.evidence,
            keep.cohort,
            str(keep.manifest["calibration"]["made_from"]),
            f"as of {keep.name}, before it was adapted: {len(validation.groups)} people who were "
            f"not trained on are too few to calibrate, which takes {MIN_PEOPLE_TO_CALIBRATE}",
        )
        everybody = searches_of(people, embeddings, np.ones(len(people), np.bool_))
        return CalibratedHead(keep.head, kept, everybody)
    relatives = [number for number, name in enumerate(faces.sets) if name in faces.relatives]
    strangers = ~np.isin(validation.groups[people], relatives)
    fitting, held_out = (
        searches_of(people, embeddings, strangers & (people % 2 == half)) for half in (0, 1)
    )
    return CalibratedHead(*calibrate_by_cosine(fitting, ROTATIONS), held_out)


def searches_of(people: Ids, embeddings: Embeddings, rows: NDArray[np.bool_]) -> Searches:
    """Return the searches by those `rows` (n,) of `people` (n,) and `embeddings`."""
    return Searches(people[rows], embeddings.probes[rows], embeddings.references[rows])


def describe(result: FaceTraining, recipe: Face, start: Model, source: Path, name: str) -> About:
    """Return what the manifest says about the training."""
    trained, faces = result.trained, result.faces
    licence = start.manifest["licence"]
    adapted = result.before is not None
    data = RESEARCH_LICENCE if are_crops(source) else "photos of their owner"
    assert result.after is not None
    return About(
        name=name,
        weights_licence=licence["weights"] if adapted else WEIGHTS_LICENCE,
        data_licence=f"{licence['data']}; adapted on {data}" if adapted else data,
        training={
            "recipe": recipe.name,
            **asdict(recipe),
            "start": {"name": start.name, "fingerprint": start.fingerprint},
            "training_people": len(faces.training.groups),
            "training_faces": len(faces.training.classes),
            "validation_people": len(faces.validation.groups),
            "steps_done": trained.step,
            "best_step": trained.best_step,
            "minutes": round(trained.seconds / 60, 1),
        },
        figures=rate_figures(result.after)
        | (rate_figures(result.before, "before_") if result.before else {}),
    )


def rate_figures(rates: Mapping[str, Rates], prefix: str = "") -> dict[str, float]:
    """Return rates by set under their keys in a manifest, each starting with `prefix`."""
    figures = {}
    for name, rate in rates.items():
        figures[f"{prefix}{name}_rank1"] = round(rate.rank_1, 4)
        figures[f"{prefix}{name}_tpir_at_fpir_1pct"] = round(rate.tpir, 4)
    return figures


def write_rest(folder: Path, about: About, calibrated: CalibratedHead) -> None:
    """Write head, manifest and figures into `folder`, where the graph is."""
    head, calibration = calibrated.head, calibrated.calibration
    held_out = calibrated.held_out
    head.save(folder / "head.npz")
    manifest = {
        "manifest_version": 1,
        "name": about.name,
        "version": about.version,
        "kind": "face",
        "detector": "yunet",
        "dim": FaceBranch.dim,
        "search_dim": CODE,  # the index holds the first code
        "input": {"side_px": CROP_PX, "colours": "RGB", "range": [0, 255]},
        "alignment": CROP_LANDMARKS.tolist(),
        "sha256": hashes(folder),
        "licence": {"weights": about.weights_licence, "data": about.data_licence},
        "calibration": calibration.manifest(),
        "training": dict(about.training),
        "figures": {
            **about.figures,
            **report(held_out, calibration.cohort, calibration.evidence),
        },
    }
    figures = measure(
        held_out,
        head,
        calibration.cohort,
        calibration.evidence,
        made_from=f"{len(held_out.rows):,} people, {len(held_out.people):,} faces, whom it was "
        "not trained on",
        calibrated_on=False,
    )
    write_manifest(folder, manifest, figures, about.card)
