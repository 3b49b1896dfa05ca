import csv
import os
from pathlib import Path

import pytest

from facesearch.training.faces import LAST, held_out

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
INDEX = Path(os.environ.get("FACESEARCH_DATA", SHARED)) / "faces" / "index.csv"


def row(identity, split, source):
    return {"identity": str(identity), "split": split, "source": source}


def test_the_last_people_of_a_source_are_held_out_by_number_and_not_by_text():
    rows = [row(n, "train", "fiw") for n in range(9000, 10600) for _ in range(2)]
    rows += [row(n, "train", "twfy") for n in range(10600, 10700)]
    rows += [row(n, "train", "celeba_crop") for n in range(20000, 20500)]
    rows += [row(n, "single", "fiw") for n in range(30000, 30100)]
    rows += [row(n, "val", "celeba_crop") for n in range(500)] + [row(-1, "unlabelled", "aaf")]
    assert held_out(rows[::-1]) == {
        "val": {*range(500)},
        "fiw": {*range(10200, 10600)},
        "twfy": {*range(10600, 10700)},  # no more than there are
    }


@pytest.mark.skipif(not INDEX.exists(), reason="the shared faces are not here")
def test_of_the_shared_faces_nobody_is_in_two_sets_nor_all_of_a_source_held_out():
    with INDEX.open() as stream:
        rows = list(csv.DictReader(stream))
    sets = held_out(rows)
    assert {name: len(people) for name, people in sets.items()} == {"val": 500} | LAST
    assert len(set.union(*sets.values())) == 500 + sum(LAST.values())
    for source in LAST:
        own = {int(r["identity"]) for r in rows if (r["split"], r["source"]) == ("train", source)}
        assert sets[source] < own
        assert max(own - sets[source]) < min(sets[source])
    splits = {r["split"] for r in rows if int(r["identity"]) in sets["fiw"] | sets["twfy"]}
    assert splits == {"train"}
