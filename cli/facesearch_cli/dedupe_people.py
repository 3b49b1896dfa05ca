"""facesearch dedupe --what people and --what faces: duplicates among the people of a gallery."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from facesearch_cli.history import report_decision
from facesearch_cli.options import NO, Options
from facesearch_cli.render import (
    Column,
    Screen,
    bearer_words,
    complain,
    counted,
    percent,
    print_json,
)

if TYPE_CHECKING:
    from facesearch import Decision, Gallery
    from facesearch.duplicates.enrolled import EnrolledFace, PerhapsTwo
    from facesearch.duplicates.proposals import PeopleProposals
    from facesearch.duplicates.report_page import Picture

MAX_LISTED = 3  # photos of the larger camp; the smaller, which would be split off, is listed whole
MAX_SHOWN = 4  # faces of a name on the page
SAME_NAME = "the same name but for case, accents or spaces"
PEOPLE_COLUMNS = (
    Column("group", right=True),
    Column("", style="bold"),
    Column("name", share=1),
    Column("probability", right=True),
    Column("", style="dim", share=2, keep_end=True),
)

Row = tuple[object, ...]


def dedupe_people(
    at_least: float, html: Path | None, options: Options, *, apply: bool, yes: bool
) -> None:
    """Report duplicate people; with `apply` merge them."""
    from facesearch import wire
    from facesearch.duplicates.proposals import DOUBTFUL, PeopleProposals
    from facesearch.manifest import subject

    with options.opened() as gallery:
        _, bearers = bearer_words(subject(gallery.model.manifest))
        two_in_one = gallery.duplicates.two_in_one(min(at_least, DOUBTFUL))
        found = PeopleProposals.of(gallery.duplicates.same_people(at_least), two_in_one, at_least)
        if html is not None:
            html.write_text(people_page(found, bearers, gallery), "utf-8")
        if not options.as_json:
            Screen().table(PEOPLE_COLUMNS, people_rows(found))
            complain("\n".join(sentences(found, bearers)))
        decision = None
        if apply and found.sure_groups:
            decision = merged(found, bearers, gallery, yes=yes)
    if options.as_json:
        print_json(**wire.duplicate_people(found, decision))
    elif decision is not None:
        report_decision(decision, options)
    elif apply:
        complain("Nothing was changed.")


def merged(found: "PeopleProposals", bearers: str, gallery: "Gallery", *, yes: bool) -> "Decision":
    """Merge every sure group, in one decision; raises typer.Exit if the answer is no."""
    groups = found.sure_groups
    n_gone = sum(len(group.others) for group in groups)
    question = f"Merge {n_gone:,} of the {bearers} into {counted(len(groups), 'other')}"
    if not yes and not typer.confirm(f"{question}? It can be undone", err=True):
        complain("Nothing was changed.")
        raise typer.Exit(NO)
    return gallery.people.merge_all((group.others, group.keep) for group in groups)


# What is printed


def people_rows(found: "PeopleProposals") -> list[Row]:
    """Return the rows of who may be one person, then of who may be two."""
    twice = found.twice
    same_names = {
        name for pair in twice.pairs if pair.same_name and pair.grouped for name in pair.people
    }
    rows: list[Row] = []
    number = 0
    for number, group in enumerate(twice.groups, 1):
        p = percent(group.probability)
        for name in (group.keep, *group.others):
            reason = SAME_NAME if name in same_names else "alike"
            reason += "" if found.is_sure(group) else "; --apply leaves it to you"
            rows.append((number, "keep" if name == group.keep else "", name, p, reason))
    for pair in twice.pairs:
        if not pair.grouped:
            number += 1
            reason = f"{SAME_NAME}, not alike" if pair.same_name else "alike, but others are not"
            p = percent(pair.probability)
            rows += [(number, "look", name, p, reason) for name in pair.people]
    for two in found.two_in_one:
        number += 1
        rows += camp_rows(number, two)
    return rows


def camp_rows(number: int, two: "PerhapsTwo") -> Iterator[Row]:
    """Yield the rows of a name that may be two people's: the photos of each camp."""
    larger, smaller = two.camps
    p = percent(two.probability)
    for face in larger[:MAX_LISTED]:
        yield number, "one", two.person, p, photo_or_hash(face)
    if len(larger) > MAX_LISTED:
        yield number, "one", two.person, p, f"and {len(larger) - MAX_LISTED:,} more"
    for face in smaller:
        yield number, "two", two.person, p, photo_or_hash(face)


def sentences(found: "PeopleProposals", bearers: str) -> list[str]:
    """Return the summary: how many proposals may be wrong, and what to do about each kind."""
    twice = found.twice
    if twice.people < 2 and not found.two_in_one:
        enrolled = "1 is enrolled" if twice.people else "nobody is enrolled"
        return [f"There can be no duplicates: {enrolled}."]
    probabilities = [group.probability for group in twice.groups]
    lines = [f"{twice.people:,} {bearers} looked at."]
    if probabilities:
        lines.append(how_many_wrong(probabilities))
        lines.append("To merge the groups: --apply, which can be undone.")
    else:
        lines.append("No two of them are probably one.")
    if probabilities or twice.pairs:
        lines.append("If two are not one, say so permanently: facesearch people not-same NAME NAME")
    n_unsure = len(twice.groups) - len(found.sure_groups)
    if n_unsure:
        proposals = counted(n_unsure, "proposal")
        lines.append(
            f"--apply leaves {proposals} in which a name may be two {bearers}: split it first."
        )
    if found.two_in_one:
        names = counted(len(found.two_in_one), "name")
        lines.append(
            f"{names} may hold two {bearers}: facesearch people split NAME PHOTO... --as NEW_NAME"
        )
        lines.append(
            "If one does not, say so permanently with a photo of each side: "
            "facesearch people confirm PHOTO NAME"
        )
    return lines


def how_many_wrong(probabilities: Sequence[float]) -> str:
    """Return how many proposals are probably wrong, of all and of those at SURE or above."""
    from facesearch.duplicates.proposals import SURE
    from facesearch.duplicates.same_person import expected_wrong

    def wrong(at_least: float) -> str:
        n = expected_wrong(probabilities, at_least)
        return f"{'fewer than 0.1' if n < 0.05 else f'about {n:.1f}'} expected to be wrong"

    text = f"{counted(len(probabilities), 'proposal')}, {wrong(0)}"
    n_sure = sum(p >= SURE for p in probabilities)
    if n_sure < len(probabilities):
        text += f"; {n_sure:,} at {SURE} or above"
        text += f", {wrong(SURE)}" if n_sure else ""
    return f"{text}."


def photo_or_hash(face: "EnrolledFace") -> str:
    """Return the path of a face's photo, or the photo's hash if the path was forgotten."""
    return face.photo or face.content_hash


# The page


def people_page(found: "PeopleProposals", bearers: str, gallery: "Gallery") -> str:
    """Return the proposals as an HTML page with the faces side by side."""
    from facesearch.duplicates.report_page import page

    groups = []
    for group in found.twice.groups:
        names = (group.keep, *group.others)
        pictures = [p for name in names for p in faces_of(gallery, name, keep=name == group.keep)]
        groups.append((f"One person? {percent(group.probability)}", pictures))
    for pair in found.twice.pairs:
        if not pair.grouped:
            reason = SAME_NAME if pair.same_name else "alike"
            pictures = [p for name in pair.people for p in faces_of(gallery, name)]
            groups.append((f"Look: {reason}, {percent(pair.probability)}", pictures))
    for two in found.two_in_one:
        pictures = [
            pictured(face, camp)
            for camp, faces in zip(("one", "two"), two.camps, strict=True)
            for face in faces[:MAX_SHOWN]
        ]
        groups.append((f"Two people under {two.person}? {percent(two.probability)}", pictures))
    return page("Duplicate people", " ".join(sentences(found, bearers)), groups)


def faces_of(gallery: "Gallery", name: str, *, keep: bool = False) -> list["Picture"]:
    """Return the first faces of a person for the page."""
    faces = gallery.duplicates.enrolled_faces(name)[:MAX_SHOWN]
    return [pictured(face, "keep" if keep else "", keep=keep) for face in faces]


def pictured(face: "EnrolledFace", note: str, *, keep: bool = False) -> "Picture":
    """Return a face for the page; if its photo is gone, only the caption is shown."""
    from facesearch.duplicates.report_page import Picture, cut_out

    picture = cut_out(photo_or_hash(face), face.stored)
    return Picture(picture, f"{face.person}: {photo_or_hash(face)}", note, keep)


# Faces


def dedupe_faces(html: Path | None, options: Options) -> None:
    """Report pictures of a face that are enrolled twice."""
    from facesearch import wire
    from facesearch.duplicates.report_page import page

    with options.opened() as gallery:
        found = gallery.duplicates.same_faces()
    summary = f"{counted(len(found), 'picture')} of a face {'is' if len(found) == 1 else 'are'}"
    summary = f"{summary} enrolled twice." if found else "No picture of a face is enrolled twice."
    if html is not None:
        groups = [
            (f"Pair {number}, {same.cosine:.3f}", [pictured(face, "") for face in same.faces])
            for number, same in enumerate(found, 1)
        ]
        html.write_text(page("Faces enrolled twice", summary, groups), "utf-8")
    if options.as_json:
        print_json(**wire.duplicate_faces(found))
        return
    columns = (
        Column("pair", right=True),
        Column("name", share=1),
        Column("photo", share=2, keep_end=True),
        Column("cosine", right=True),
    )
    rows = [
        (number, face.person, photo_or_hash(face), f"{same.cosine:.3f}")
        for number, same in enumerate(found, 1)
        for face in same.faces
    ]
    Screen().table(columns, rows)
    complain(summary)
