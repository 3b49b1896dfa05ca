import numpy as np
import pytest

from facesearch_indexes import binary
from facesearch_indexes.binary import near_codes


def everything(queries, codes, radius, k):
    """The oracle: (query, place) -> distance, by counting bits."""
    bits, others = np.unpackbits(queries, axis=1), np.unpackbits(codes, axis=1)
    distances = (bits[:, None] != others[None]).sum(2)
    near = {}
    for query, row in enumerate(distances):
        for place in np.argsort(row, kind="stable")[:k]:
            if row[place] <= radius:
                near[query, int(place)] = int(row[place])
    return near


def asked(queries, codes, radius, k):
    found = {}
    for rows, places, distances in near_codes(queries, codes, radius, k):
        found |= dict(zip(zip(rows.tolist(), places.tolist(), strict=True), distances, strict=True))
    return found


@pytest.mark.parametrize("chunk", [7, 8192], ids=["in chunks", "at once"])
def test_the_near_codes_are_those_found_by_counting_bits(chunk, monkeypatch):
    monkeypatch.setattr(binary, "_CHUNK", chunk)
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 256, (60, 4), dtype=np.uint8)
    queries = np.concatenate([codes[:20] ^ np.uint8(1), rng.integers(0, 256, (5, 4), np.uint8)])
    assert asked(queries, codes, 11, 60) == everything(queries, codes, 11, 60)


def test_no_query_has_more_than_its_k_nearest():
    codes = np.array([[0b0001], [0b0011], [0b0111], [0b1111]], np.uint8)
    assert asked(np.zeros((1, 1), np.uint8), codes, 8, 2) == {(0, 0): 1, (0, 1): 2}


def test_no_codes_or_no_queries_give_no_pairs():
    none, one = np.zeros((0, 4), np.uint8), np.zeros((1, 4), np.uint8)
    assert asked(one, none, 32, 3) == asked(none, one, 32, 3) == {}


def test_codes_of_another_length_are_refused():
    with pytest.raises(ValueError, match="one length"):
        list(near_codes(np.zeros((1, 4), np.uint8), np.zeros((1, 8), np.uint8), 3, 1))
    with pytest.raises(ValueError, match="at least one"):
        list(near_codes(np.zeros((1, 4), np.uint8), np.zeros((1, 4), np.uint8), 3, 0))
