"""Files beside a photo that belong to it: a live photo's film, edits, ratings, an export's notes.

They have the photo's stem (`a.mov` beside `a.jpg`) or begin with its name (`a.jpg.xmp`). One that
has the stem of several files goes to the trash only with the last of them.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

ENDINGS = (".mov", ".xmp", ".aae", ".json")

_Names = dict[str, list[str]]  # a name in a folder -> others in it


class Companions:
    """The companions of photos; every folder is listed only once."""

    def __init__(self) -> None:
        self._listed = lru_cache(maxsize=64)(_listed)

    def of(self, path: str) -> tuple[str, ...]:
        """Return the companions of the photo at `path`, by path."""
        folder, name = os.path.split(path)
        companions, _ = self._listed(folder)
        return tuple(str(Path(folder, one)) for one in sorted(companions.get(name, ())))

    def along(self, leaving: Collection[str]) -> Iterator[tuple[str, list[str]]]:
        """Yield the companions that go along when the photos at `leaving` go, each with its photos.

        One that also belongs to a file that stays is not among them.
        """
        photos, seen = set(leaving), set()
        for path in leaving:
            folder = Path(path).parent
            for companion in self.of(path):
                _, owners = self._listed(str(folder))
                belongs = [str(folder / owner) for owner in owners[Path(companion).name]]
                if companion not in seen and photos.issuperset(belongs):
                    yield companion, belongs
                seen.add(companion)


def _listed(folder: str) -> tuple[_Names, _Names]:
    """Return the companions of each file in a folder, and whose companion each of them is."""
    names = []
    with suppress(OSError), os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.is_dir())
    by_name, by_stem = defaultdict(list), defaultdict(list)
    for name in names:
        if not name.lower().endswith(ENDINGS):
            by_name[name.lower()].append(name)
            by_stem[Path(name).stem.lower()].append(name)
    companions: _Names = defaultdict(list)
    owners: _Names = {}
    for name in names:
        if name.lower().endswith(ENDINGS):
            owners[name] = _owners(Path(name).stem.lower(), by_name, by_stem)
            for owner in owners[name]:
                companions[owner].append(name)
    return companions, owners


def _owners(rest: str, by_name: _Names, by_stem: _Names) -> list[str]:
    """Return whose companion a file is, given its name without the ending, in lower case."""
    if rest in by_stem and rest not in by_name:
        return by_stem[rest]
    while rest not in by_name and "." in rest:  # a.jpg.notes.json
        rest = rest.rpartition(".")[0]
    return by_name.get(rest, [])
