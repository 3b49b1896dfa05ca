import numpy as np

from facesearch.evaluation import protocols
from facesearch.evaluation.protocols import (
    best_threshold,
    lfw_pairs,
    open_set_splits,
    random_open_set_splits,
    verification_accuracy,
)

PLACE = {"Ann_0001": 0, "Ann_0002": 1, "Bea_0001": 2, "Bea_0002": 3, "Cid_0001": 4}


def test_splits_enroll_one_photo_and_search_with_the_others(tmp_path):
    (tmp_path / "identities.csv").write_text(
        "image,person,photo,use\nAnn_0002,Ann,2,yes\nAnn_0001,Ann,1,yes\n"
        "Bea_0001,Bea,1,yes\nBea_0002,Bea,2,no: duplicate\nCid_0001,Cid,1,yes\n"
    )
    (tmp_path / "open_set_splits.csv").write_text(
        "person,enrolled_0,enrolled_1\nAnn,1,0\nBea,0,1\nCid,1,1\n"
    )
    first, second = open_set_splits(tmp_path, PLACE)
    assert first.gallery.tolist() == [0, 4]
    assert first.probes["mated"].tolist() == [1]
    assert first.owners.tolist() == [0]
    assert first.probes["non_mated"].tolist() == [2]
    assert second.gallery.tolist() == [2, 4]
    assert second.probes["non_mated"].tolist() == [0, 1]
    assert first.askers["mated"].tolist() == [0]  # Ann, the first of the table in every split
    assert first.askers["non_mated"].tolist() == [1]
    assert second.askers["mated"].tolist() == []
    assert second.askers["non_mated"].tolist() == [0, 0]


def test_random_splits_enroll_half_by_one_photo_and_never_search_with_it():
    sizes = [1, 2, 15, 4, 12, 3, 30]
    person = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    splits = random_open_set_splits(person, 20)
    for split in splits:
        enrolled = person[split.gallery]
        assert len(enrolled) == len(set(enrolled)) == 3
        for kind, rows in split.probes.items():
            assert len(set(rows)) == len(rows)
            assert person[rows].tolist() == split.askers[kind].tolist()
        mated, non_mated = split.probes["mated"], split.probes["non_mated"]
        assert enrolled[split.owners].tolist() == person[mated].tolist()
        assert not set(mated) & set(split.gallery)
        assert not set(person[non_mated]) & set(enrolled)
        for number, size in enumerate(sizes):
            asks = min(size - 1, 9) if number in enrolled else 0
            assert (person[mated] == number).sum() == asks
            assert (person[non_mated] == number).sum() == (number not in enrolled) * min(size, 10)
    assert len({tuple(sorted(person[split.gallery])) for split in splits}) > 5
    assert len({row for split in splits for row in split.gallery if person[row] == 6}) > 3


def test_each_fold_is_decided_at_the_threshold_of_the_others(tmp_path):
    lines = ["10\t1"] + ["Ann\t1\t2", "Ann\t1\tBea\t1"] * 10
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    angles = np.array([0.0, 0.2, 1.0, 1.1, 2.0])
    rows = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    pairs = lfw_pairs(tmp_path / "pairs.txt", PLACE)
    assert pairs.mated.tolist() == [True, False] * 10

    def accuracy():
        return verification_accuracy((rows[pairs.first] * rows[pairs.second]).sum(1), pairs.mated)

    assert accuracy() == 1.0
    rows[2] = rows[0]  # now Bea looks more like Ann than Ann does
    assert accuracy() == 0.5


def test_the_best_threshold_lies_between_the_classes():
    scores = np.array([0.1, 0.8, 0.4, 0.9], np.float32)
    assert 0.4 < best_threshold(scores, np.array([False, True, False, True])) < 0.8


def test_crops_come_in_parts_and_the_number_done_is_reported_after_each(monkeypatch, tmp_path):
    monkeypatch.setattr(protocols, "PART", 2)
    monkeypatch.setattr(
        protocols, "read_crops", lambda folder, rows: [row["offset"] for row in rows]
    )
    rows, told = [{"offset": str(number)} for number in range(5)], []
    parts = list(protocols.crops_in_parts(tmp_path, rows, told.append))
    assert parts == [["0", "1"], ["2", "3"], ["4"]]
    assert told == [2, 4, 5]
