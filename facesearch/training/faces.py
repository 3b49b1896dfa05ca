"""The shared set of face crops -> which people nobody trains on."""

from collections.abc import Mapping, Sequence

LAST = {"fiw": 400, "twfy": 200}  # source -> people of the training rows who are held out


def held_out(rows: Sequence[Mapping[str, str]]) -> dict[str, set[int]]:
    """Return the identities that no model is trained on, by the set that they are measured in.

    `rows` are those of the crops' index.csv. "val" are the people of that split; CelebA gives
    most of them, so families and politicians are held out beside: of each source in LAST the last
    people, by number, whom the training rows have. All crops of these people are held out, of
    whatever source.
    """
    sets = {"val": {int(row["identity"]) for row in rows if row["split"] == "val"}}
    for source, most in LAST.items():
        own = (row for row in rows if (row["split"], row["source"]) == ("train", source))
        sets[source] = set(sorted({int(row["identity"]) for row in own})[-most:])
    return sets
