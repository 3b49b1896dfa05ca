"""Crops of people, or photos of one's own -> a face model's folder: the whole course on one screen.

faces -> whom to learn from and whom to judge by -> training -> graph -> calibration, figures

A model that is adapted to somebody's own photos has to be better than its start, on people whom it
was not trained on and by the same searches, or it is not written.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

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
from facesearch.training.calibration import (
    Calibration,
    Ids,
    Rates,
    Searches,
    calibrate_by_cosine,
    open_set_rates,
    report,
)
from facesearch.training.export import (
    About,
    crops_by_part,
    face_onnx,
    hashes,
    whole_folder,
    write_manifest,
)
from facesearch.training.face_network import CODE, FaceBranch
from facesearch.training.face_recipe import Face
from facesearch.training.faces import Faces, are_crops, read_people, read_shards
from facesearch.training.figures import measure
from facesearch.training.loop import LOG, Progress, Trained, train
from facesearch.training.recipes import TrainingSet
from facesearch.training.train_pictures import (
    FEWEST_TO_SPLIT,
    check_place,
    draw_curves,
    split,
    training_set,
)
from facesearch.vectors import Floats

# Of the head's code, which makes it as wide as SFace's. To the cosine of the whole template 16 lose
# 0.2 points of TPIR on the val people and 32 lose 0.1, neither on families nor on politicians any;
# but 32 take 10 ms of CPU a face in place of 4, and 2 MB more.
ROTATIONS = 16
FEWEST_TO_CALIBRATE = 200  # people of the validation; fewer keep what the start was calibrated to
JUDGES = 20  # people to judge by, if there are so many others; of more their usual share
PASSES = 30  # of an adaptation over the photos
STEPS = (50, 600)  # of an adaptation, at least and at most
EVALUATIONS = 10  # of an adaptation
WEIGHTS_LICENCE = (
    "first trunk: SFace, Apache-2.0; second trunk: MobileFaceNet_TF by sirius-ai, Apache-2.0, "
    "trained on here"
)
RESEARCH_LICENCE = "research sets, no image of which is in this folder"


@dataclass(frozen=True, slots=True, eq=False)
class FaceCourse:
    """What came of training a face model."""

    trained: Trained
    faces: Faces
    after: dict[str, Rates] | None  # by set of people; None if the training was interrupted
    before: dict[str, Rates] | None  # of the start, by the same searches; None but of an adaptation
    curves: Path | None  # None if the training was interrupted

    @property
    def written(self) -> bool:
        """Whether there is a model: the training was done, and an adaptation made it better."""
        if self.after is None:
            return False
        return self.before is None or mean_tpir(self.after) > mean_tpir(self.before)


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Unit embeddings (n, dim) of crops: of one look at each, and as references."""

    once: Floats
    references: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What makes a model of a graph, and on whom it is measured."""

    head: L1SigmoidHead
    calibration: Calibration
    rest: Searches  # by people whom neither was fitted to


def run_face_course(
    source: Path,
    recipe: Face,
    model: Path,
    *,
    adapt: bool = False,
    steps: int | None = None,
    resume: bool = False,
    reading: Callable[[int], object] | None = None,
    watch: Callable[[Progress], object] = lambda progress: None,
) -> FaceCourse:
    """Train `recipe` on the faces in `source`; write the model folder `model`.

    `steps` if not the recipe's own. With `adapt` the model is not written unless it is better than
    the start, and how many steps it takes follows from the number of photos. What the run needs
    lies beside the model, and what is raised is the same, as of `run_course`; DataError also for
    people too few to judge by, or too easy to tell apart, or too few to calibrate a model on whose
    start has nothing to keep.
    """
    model = model.resolve()
    check_place(model, source, resume=resume)
    start = face_model(recipe.start)
    faces = read_faces(source, start, recipe.seed, reading)
    keep = keeps_calibration(faces, start)
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    elif adapt:
        recipe = adaptation(recipe, np.bincount(faces.learn.classes))
    before = None
    if adapt:
        before = rates_by_set(faces, looks_of(start.folder, faces.validation), start.cohort)
        check_room(before, faces, start)
    folder = model.with_name(f"{model.name}-training")
    trained = train(faces.learn, faces.validation, recipe, folder, resume=resume, watch=watch)
    if trained.ended == "interrupted":
        return FaceCourse(trained, faces, None, before, None)
    curves = draw_curves(folder / LOG, folder / "curves.png", recipe.validated_by)
    branch = trained.network.branch
    assert isinstance(branch, FaceBranch)  # for the type checker
    graph = face_onnx(branch)
    with TemporaryDirectory() as made:
        (Path(made) / "branch.onnx").write_bytes(graph)
        looks = looks_of(Path(made), faces.validation)
    tuned = calibrated(faces, looks, start if keep else None)
    after = rates_by_set(faces, looks, tuned.calibration.cohort)
    course = FaceCourse(trained, faces, after, before, curves)
    if course.written:
        said = about(course, recipe, start, source, model.name)
        with whole_folder(model) as new:
            (new / "branch.onnx").write_bytes(graph)
            write_beside(new, said, tuned)
    return course


def face_model(name_or_folder: str) -> Model:
    """Return the model of faces to start from; raises TrainingError if it is of another kind."""
    model = Model.load(name_or_folder, engine_for_many())
    if subject(model.manifest) != "face":
        raise TrainingError(
            f"the model {model.name} compares {subject(model.manifest)}s, and a face model can "
            "only start from one of faces"
        )
    return model


def read_faces(
    source: Path, start: Model, seed: int, reading: Callable[[int], object] | None
) -> Faces:
    """Return the faces in `source`, those to learn from apart from those to judge by.

    Of photos, which are cut for `start`, whole people by chance. Raises DataError if they are too
    few for that.
    """
    if are_crops(source):
        return read_shards(source, reading)
    people = read_people(source, start, reading)
    counts = np.bincount(people.classes)
    n_several = int((counts > 1).sum())
    if n_several < FEWEST_TO_SPLIT:
        raise DataError(
            f"in {source} are {n_several} people with two photos or more that can serve; it takes "
            f"{FEWEST_TO_SPLIT}, to learn from some and to judge by others"
        )
    learn, judge, _ = split(people, seed, min(JUDGES, n_several // 2))
    return Faces(
        learn=training_set(people.only(learn), drawn=False),
        validation=training_set(people.only(judge), drawn=False),
        sets=("people",),
        skipped=people.skipped,
    )


def keeps_calibration(faces: Faces, start: Model) -> bool:
    """Return whether the model is to keep the head and calibration of `start`: people are too few.

    Raises DataError if it cannot, as its templates will be of two codes and the start's are not.
    """
    n_people = len(faces.validation.groups)
    if n_people >= FEWEST_TO_CALIBRATE:
        return False
    if start.dim != FaceBranch.dim:
        raise DataError(
            f"{n_people} people are left to judge by, and to calibrate a model that starts from "
            f"{start.name} takes {FEWEST_TO_CALIBRATE}; --from default keeps the calibration of "
            "the model that ships"
        )
    return True


def check_room(before: Mapping[str, Rates], faces: Faces, start: Model) -> None:
    """Raise DataError if nobody could do better than `start` on the people who judge."""
    if mean_tpir(before) >= 1:
        raise DataError(
            f"the model {start.name} already finds all {len(faces.validation.groups)} people who "
            "are left to judge by, so they cannot tell a better one; it takes more people, or "
            "photos on which they are harder to know"
        )


def adaptation(recipe: Face, photos: Ids) -> Face:
    """Return `recipe` with the steps of PASSES over people of whom there are so many `photos`."""
    batch = min(recipe.people * recipe.photos, int(np.minimum(photos, recipe.photos).sum()))
    steps = int(np.clip(PASSES * photos.sum() // batch, *STEPS))
    return replace(recipe, steps=steps, evaluate_every=steps // EVALUATIONS)


def looks_of(folder: Path, data: TrainingSet) -> Looks:
    """Return the embeddings of all crops of `data` by the graph in `folder`."""
    engine = engine_for_many()
    encoder = Encoder(make_engine(engine, folder / "branch.onnx"))
    detector = make_detector("yunet", engine=engine)
    parts = crops_by_part(data.pictures)
    return Looks(*embed_by_views(encoder.embed, detector, parts, REFERENCE_VIEWS))


def rates_by_set(faces: Faces, looks: Looks, cohort: Cohort) -> dict[str, Rates]:
    """Return what searches among the validation's people give, each set of them by itself."""
    people = faces.validation.classes
    sets = faces.validation.groups[people]
    return {
        name: open_set_rates(Searches(people[of], looks.once[of], looks.references[of]), cohort)
        for number, name in enumerate(faces.sets)
        for of in [np.flatnonzero(sets == number)]
    }


def mean_tpir(rates: Mapping[str, Rates]) -> float:
    """Return the mean of the sets' TPIR: what one model is chosen over another by."""
    return float(np.mean([of_set.tpir for of_set in rates.values()]))


# What lies beside the graph


def calibrated(faces: Faces, looks: Looks, keep: Model | None) -> Tuned:
    """Return head, calibration and figures; head and calibration are those of `keep`, if given.

    Else they are fitted to every second person, so that there are others to measure them on. Kin
    are left out of both: a threshold is a promise about strangers.
    """
    validation = faces.validation
    people = validation.classes
    if keep is not None:
        kept = Calibration(
            keep.evidence,
            keep.cohort,
            str(keep.manifest["calibration"]["made_from"]),
            f"as that of {keep.name}, before it was adapted: {len(validation.groups)} people who "
            f"were not trained on are too few to calibrate on, it takes {FEWEST_TO_CALIBRATE}",
        )
        rest = Searches(people, looks.once, looks.references)
        return Tuned(keep.head, kept, rest)
    kin = [number for number, name in enumerate(faces.sets) if name in faces.kin]
    strangers = ~np.isin(validation.groups[people], kin)
    fitting, rest = (
        Searches(people[of], looks.once[of], looks.references[of])
        for of in (strangers & (people % 2 == 0), strangers & (people % 2 == 1))
    )
    return Tuned(*calibrate_by_cosine(fitting, ROTATIONS), rest)


def about(course: FaceCourse, recipe: Face, start: Model, source: Path, name: str) -> About:
    """Return what the manifest says of the training."""
    trained, faces = course.trained, course.faces
    licence = start.manifest["licence"]
    adapted = course.before is not None
    data = RESEARCH_LICENCE if are_crops(source) else "photos of their owner"
    assert course.after is not None
    return About(
        name=name,
        weights_licence=licence["weights"] if adapted else WEIGHTS_LICENCE,
        data_licence=f"{licence['data']}; adapted on {data}" if adapted else data,
        training={
            "recipe": recipe.name,
            **asdict(recipe),
            "start": {"name": start.name, "fingerprint": start.fingerprint},
            "training_people": len(faces.learn.groups),
            "training_faces": len(faces.learn.classes),
            "validation_people": len(faces.validation.groups),
            "steps_done": trained.step,
            "best_step": trained.best_step,
            "minutes": round(trained.seconds / 60, 1),
        },
        figures=told(course.after) | (told(course.before, "before_") if course.before else {}),
    )


def told(rates: Mapping[str, Rates], prefix: str = "") -> dict[str, float]:
    """Return rates as a manifest has them."""
    figures = {}
    for name, of_set in rates.items():
        figures[f"{prefix}{name}_rank1"] = round(of_set.rank_1, 4)
        figures[f"{prefix}{name}_tpir_at_fpir_1pct"] = round(of_set.tpir, 4)
    return figures


def write_beside(folder: Path, said: About, tuned: Tuned) -> None:
    """Write head, manifest and figures into `folder`, where the graph is."""
    head, calibration = tuned.head, tuned.calibration
    head.save(folder / "head.npz")
    manifest = {
        "manifest_version": 1,
        "name": said.name,
        "version": said.version,
        "kind": "face",
        "detector": "yunet",
        "dim": FaceBranch.dim,
        "search_dim": CODE,  # the index holds the first code
        "input": {"side_px": CROP_PX, "colours": "RGB", "range": [0, 255]},
        "alignment": CROP_LANDMARKS.tolist(),
        "sha256": hashes(folder),
        "licence": {"weights": said.weights_licence, "data": said.data_licence},
        "calibration": calibration.manifest(),
        "training": dict(said.training),
        "figures": {
            **said.figures,
            **report(tuned.rest, calibration.cohort, calibration.evidence),
        },
    }
    figures = measure(
        tuned.rest,
        head,
        calibration.cohort,
        calibration.evidence,
        made_from=f"{len(tuned.rest.rows):,} people, {len(tuned.rest.people):,} faces, whom it was "
        "not trained on",
        calibrated_on=False,
    )
    write_manifest(folder, manifest, figures, said.card)
