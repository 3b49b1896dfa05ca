"""All of deduplication: photos that are the same picture, people who are there twice, groups.

    pip install scikit-learn imagehash    # for the figures of others beside ours
    python -m benchmarks.dedupe [--json]

What is measured, on what: benchmarks.dedupe_people, benchmarks.dedupe_photos, which run alone, too.
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
