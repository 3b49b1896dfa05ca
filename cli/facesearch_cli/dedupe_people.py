"""facesearch dedupe --what people and --what faces: a gallery's people and faces that are twice."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from facesearch_cli.history import told
from facesearch_cli.options import NO, open_gallery
from facesearch_cli.render import (
    Column,
    Screen,
    bearer,
    complain,
    counted,
    percent,
    print_json,
)

if TYPE_CHECKING:
    from facesearch import Decision, Gallery
    from facesearch.duplicates.enrolled import (
        EnrolledFace,
        EnrolledTwice,
        FaceTwice,
        PerhapsTwo,
        ProbablyOne,
    )
    from facesearch.duplicates.report_page import Picture

DOUBTFUL = 0.5  # a name that is two people's with this probability is merged with nobody
SURE = 0.95  # how many proposals are at least this probable is told beside all
LISTED = 3  # photos of the larger camp; of the smaller, which one would split off, all are told
SAME_NAME = "the same name but for case, accents or spaces"
SHOWN = 4  # faces of a name on the page


@dataclass(frozen=True, slots=True)
class People:
    """What is proposed about a gallery's people."""

    twice: "EnrolledTwice"
    two_in_one: tuple["PerhapsTwo", ...]
    doubtful: frozenset[str]  # names that are as likely as not two people's
    bearers: str  # people or, where drawings or pictures are enrolled, classes

    def sure(self, group: "ProbablyOne") -> bool:
        """Return whether a merge of `group` would take no third person with it."""
        return self.doubtful.isdisjoint((group.keep, *group.others))


def dedupe_people(
    at_least: float,
    html: Path | None,
    apply: bool,
    yes: bool,
    gallery: Path | None,
    model: str,
    as_json: bool,
) -> None:
    """Report the people who are there twice; with `apply` merge them."""
    from facesearch.manifest import subject

    with open_gallery(gallery, model) as opened:
        _, bearers = bearer(subject(opened.model.manifest))
        two_in_one = opened.duplicates.two_in_one(min(at_least, DOUBTFUL))
        found = People(
            opened.duplicates.same_people(at_least),
            tuple(two for two in two_in_one if two.probability >= at_least),
            frozenset(two.person for two in two_in_one if two.probability >= DOUBTFUL),
            bearers,
        )
        if html is not None:
            html.write_text(people_page(found, opened), "utf-8")
        if not as_json:
            show_people(found)
        decision = None
        groups = [group for group in found.twice.groups if found.sure(group)]
        if apply and groups:
            decision = merged(groups, bearers, opened, yes=yes)
    if as_json:
        print_json(**people_as_json(found, at_least, decision))
    elif decision is not None:
        told(decision, gallery, model, as_json=False)
    elif apply:
        complain("Nothing was changed.")


def merged(
    groups: Sequence["ProbablyOne"], bearers: str, opened: "Gallery", *, yes: bool
) -> "Decision":
    """Merge every group as one decision; leaves with 1 if whoever is asked says no."""
    n_gone = sum(len(group.others) for group in groups)
    question = f"Merge {n_gone:,} of the {bearers} into {counted(len(groups), 'other')}"
    if not yes and not typer.confirm(f"{question}? It can be undone", err=True):
        complain("Nothing was changed.")
        raise typer.Exit(NO)
    return opened.people.merge_all((group.others, group.keep) for group in groups)


def show_people(found: People) -> None:
    """Print who may be one and who may be two; on stderr what would be wrong and what to do."""
    twice = found.twice
    columns = (
        Column("group", right=True),
        Column("", style="bold"),
        Column("name", share=1),
        Column("probability", right=True),
        Column("", style="dim", share=2, keep_end=True),
    )
    same_names = {
        name for pair in twice.pairs if pair.same_name and pair.grouped for name in pair.people
    }
    rows: list[tuple[object, ...]] = []
    number = 0
    for number, group in enumerate(twice.groups, 1):
        p = percent(group.probability)
        for name in (group.keep, *group.others):
            reason = SAME_NAME if name in same_names else "alike"
            reason += "" if found.sure(group) else "; --apply leaves it to you"
            rows.append((number, "keep" if name == group.keep else "", name, p, reason))
    for pair in twice.pairs:
        if not pair.grouped:
            number += 1
            reason = f"{SAME_NAME}, not alike" if pair.same_name else "alike, but others are not"
            p = percent(pair.probability)
            rows += [(number, "look", name, p, reason) for name in pair.people]
    for two in found.two_in_one:
        number += 1
        larger, smaller = two.camps
        more = len(larger) - LISTED
        for camp, faces in (("one", larger[:LISTED]), ("two", smaller)):
            p = percent(two.probability)
            rows += [(number, camp, two.person, p, where(face)) for face in faces]
            if camp == "one" and more > 0:
                rows.append((number, camp, two.person, p, f"and {more:,} more"))
    Screen().table(columns, rows)
    complain("\n".join(sentences(found)))


def sentences(found: People) -> list[str]:
    """Return what is said of the proposals: how many would be wrong, and what can be done."""
    twice, bearers = found.twice, found.bearers
    if twice.people < 2 and not found.two_in_one:
        enrolled = "1 is enrolled" if twice.people else "nobody is"
        return [f"Nobody can be there twice: {enrolled}."]
    probabilities = [group.probability for group in twice.groups]
    said = [f"{twice.people:,} {bearers} looked at."]
    if probabilities:
        said.append(how_many_wrong(probabilities))
        said.append("To merge what is grouped: --apply, which can be undone.")
    else:
        said.append("No two of them are probably one.")
    if probabilities or twice.pairs:
        said.append("If two are not one, for ever: facesearch people not-same NAME NAME")
    unsure = sum(not found.sure(group) for group in twice.groups)
    if unsure:
        proposals = counted(unsure, "proposal")
        said.append(
            f"--apply leaves {proposals} in which a name may be two {bearers}: split first."
        )
    if found.two_in_one:
        names = counted(len(found.two_in_one), "name")
        said.append(
            f"{names} may hold two {bearers}: facesearch people split NAME PHOTO... --as NEW_NAME"
        )
        said.append(
            "If not, for ever: facesearch people confirm PHOTO NAME, with a photo of each side"
        )
    return said


def how_many_wrong(probabilities: Sequence[float]) -> str:
    """Return how many of the proposed groups are probably wrong, and of the surest ones."""
    from facesearch.duplicates.same_person import expected_wrong

    def about(wrong: float) -> str:
        return "fewer than 0.1" if wrong < 0.05 else f"about {wrong:.1f}"

    text = f"Of {counted(len(probabilities), 'proposal')} {about(expected_wrong(probabilities, 0))}"
    text += " are wrong"
    sure = [p for p in probabilities if p >= SURE]
    if len(sure) < len(probabilities):
        text += f"; at {SURE} or above: {len(sure):,}"
        text += f", of which {about(expected_wrong(sure, SURE))}" if sure else ""
    return f"{text}."


def where(face: "EnrolledFace") -> str:
    """Return what names a face's photo: its path, or its hash where that was forgotten."""
    return face.photo or face.content_hash


def people_page(found: People, opened: "Gallery") -> str:
    """Return the proposals as an HTML page, the faces side by side."""
    from facesearch.duplicates.report_page import page

    groups = []
    for group in found.twice.groups:
        names = (group.keep, *group.others)
        pictures = [p for name in names for p in faces_of(opened, name, keep=name == group.keep)]
        groups.append((f"One person? {percent(group.probability)}", pictures))
    for pair in found.twice.pairs:
        if not pair.grouped:
            reason = SAME_NAME if pair.same_name else "alike"
            pictures = [p for name in pair.people for p in faces_of(opened, name)]
            groups.append((f"Look: {reason}, {percent(pair.probability)}", pictures))
    for two in found.two_in_one:
        pictures = [
            pictured(face, camp)
            for camp, faces in zip(("one", "two"), two.camps, strict=True)
            for face in faces[:SHOWN]
        ]
        groups.append((f"Two people under {two.person}? {percent(two.probability)}", pictures))
    return page("People who are there twice", " ".join(sentences(found)), groups)


def faces_of(opened: "Gallery", name: str, *, keep: bool = False) -> list["Picture"]:
    """Return the first faces of a person as they are shown."""
    from facesearch.duplicates.enrolled import EnrolledFace

    return [
        pictured(
            EnrolledFace(name, path, face.content_hash, face.box, face.id),
            "keep" if keep else "",
            keep=keep,
        )
        for path, face in opened.people.faces_of(name)[:SHOWN]
    ]


def pictured(face: "EnrolledFace", note: str, *, keep: bool = False) -> "Picture":
    """Return a face as the page shows it, by its caption alone if its photo is not there."""
    from facesearch.duplicates.report_page import Picture, cut_out

    picture = cut_out(where(face), face.content_hash, face.box)
    return Picture(picture, f"{face.person}: {where(face)}", note, keep)


def people_as_json(
    found: People, at_least: float, decision: "Decision | None"
) -> dict[str, object]:
    """Return the fields of the JSON answer."""
    from facesearch.duplicates.same_person import expected_wrong

    twice = found.twice
    return {
        "what": "people",
        "people": twice.people,
        "at_least": at_least,
        "groups": [
            {
                "keep": group.keep,
                "merge": list(group.others),
                "probability": round(group.probability, 6),
                "sure": found.sure(group),
            }
            for group in twice.groups
        ],
        "expected_wrong": round(expected_wrong([g.probability for g in twice.groups], 0), 6),
        "pairs": [
            {
                "people": list(pair.people),
                "probability": round(pair.probability, 6),
                "same_name": pair.same_name,
                "grouped": pair.grouped,
            }
            for pair in twice.pairs
        ],
        "two_in_one": [
            {
                "person": two.person,
                "probability": round(two.probability, 6),
                "camps": [[face_as_json(face) for face in camp] for camp in two.camps],
            }
            for two in found.two_in_one
        ],
        "applied": decision and asdict(decision),
    }


def face_as_json(face: "EnrolledFace") -> dict[str, object]:
    """Return a face as JSON has it."""
    return {
        "person": face.person,
        "photo": face.photo,
        "hash": face.content_hash,
        "box": [round(side, 2) for side in face.box],
    }


def dedupe_faces(html: Path | None, gallery: Path | None, model: str, as_json: bool) -> None:
    """Report the pictures of a face that are enrolled twice."""
    from facesearch.duplicates.report_page import page

    with open_gallery(gallery, model) as opened:
        found = opened.duplicates.same_faces()
    summary = f"{counted(len(found), 'picture')} of a face {'is' if len(found) == 1 else 'are'}"
    summary = f"{summary} enrolled twice." if found else "No picture of a face is enrolled twice."
    if html is not None:
        groups = [
            (
                f"Pair {number}, {same.cosine:.3f}",
                [pictured(face, "") for face in same.faces],
            )
            for number, same in enumerate(found, 1)
        ]
        html.write_text(page("Faces that are enrolled twice", summary, groups), "utf-8")
    if as_json:
        print_json(what="faces", faces=[pair_as_json(same) for same in found])
        return
    columns = (
        Column("pair", right=True),
        Column("name", share=1),
        Column("photo", share=2, keep_end=True),
        Column("cosine", right=True),
    )
    rows = [
        (number, face.person, where(face), f"{same.cosine:.3f}")
        for number, same in enumerate(found, 1)
        for face in same.faces
    ]
    Screen().table(columns, rows)
    complain(summary)


def pair_as_json(same: "FaceTwice") -> dict[str, object]:
    """Return a face that is there twice as JSON has it."""
    return {"cosine": round(same.cosine, 6), "faces": [face_as_json(face) for face in same.faces]}
