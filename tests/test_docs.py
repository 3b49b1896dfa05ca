"""The docs keep to their form, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
STATUS = re.compile(r"Status: (accepted|superseded by \d{4}) · \d{4}-\d\d-\d\d\b.*")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
SOURCE = re.compile(
    r"[`\s]((?:[a-z_]+/)*[a-z_]+(?:\.py|/))[`\s]"
)  # a module, or a folder of modules
MAX_LINES = 75  # of a decision: one page is about 60


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda file: file.stem)
def test_a_decision_is_one_page_with_status_date_and_a_short_summary_on_top(decision):
    lines = decision.read_text("utf-8").splitlines()
    assert lines[0].startswith(f"# {decision.name[:4]}")
    assert STATUS.fullmatch(lines[2]), lines[2]
    summary = [line for line in lines if line.startswith("> ")]
    assert 1 <= len(summary) <= 3
    assert lines[4 : 4 + len(summary)] == summary
    assert len(lines) <= MAX_LINES


def test_the_list_of_decisions_is_complete():
    listed = (DECISIONS[0].parent / "README.md").read_text("utf-8")
    assert [file.name[:4] for file in DECISIONS if f"[{file.name[:4]}](" not in listed] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_between_pages_lead_to_files(page):
    targets = LINK.findall(page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_architecture_names_modules_that_are_there():
    named = set(SOURCE.findall((ROOT / "docs" / "architecture.md").read_text("utf-8")))
    packages = (
        "facesearch",
        "facesearch/gallery",
        "facesearch/storage",
        "indexes",
        "indexes/facesearch_indexes",
    )
    folders = [ROOT, *(ROOT / package for package in packages)]
    missing = {name for name in named if not any((folder / name).exists() for folder in folders)}
    assert missing == set()
