"""Deduplication: same photos, people enrolled twice, groups of unnamed faces.

    pip install scikit-learn imagehash    # for the rivals' figures
    python -m benchmarks.dedupe [--json]

benchmarks.dedupe_people and benchmarks.dedupe_photos say what is measured on what; each also runs
alone.
"""

from benchmarks.dedupe_people import people
from benchmarks.dedupe_photos import photos
from benchmarks.report import need, parse_arguments, show


def main() -> None:
    arguments = parse_arguments(__doc__)
    data = need(arguments.data)
    show(people(data) | photos(data), "Deduplication", as_json=arguments.json)


if __name__ == "__main__":
    main()
