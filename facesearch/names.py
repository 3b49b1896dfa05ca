"""Names of people: which are valid, how they are stored, and when two look like a typo."""

import unicodedata

MOST_LETTERS = 200  # of a name; a longer one is text that was pasted by mistake
# letters that cannot be seen but belong to how some scripts and emoji are written
JOINERS = "\u200c\u200d"
UNSEEN = ("Cf", "Co", "Cn", "Zl", "Zp")  # categories: direction marks, line separators and such
# combining classes of marks that make another letter: nukta, kana voicing (が, か), virama
OTHER_LETTER = (7, 8, 9)


def person_name(name: str) -> str:
    """Return `name` as it is stored: composed (NFC), without spaces around it.

    Raises ValueError if nothing is left, or it holds control characters or bytes that are not text.
    """
    composed = unicodedata.normalize("NFC", name).strip()
    if not composed or any(unicodedata.category(c) in ("Cc", "Cs") for c in composed):
        raise ValueError(f"{name!a} is not a valid person name")
    return composed


def new_person_name(name: str) -> str:
    """Return `name` as it is stored for a person who is not enrolled yet.

    Raises ValueError as `person_name` does, if the name has more than MOST_LETTERS, and if it holds
    what no reader sees: marks that turn the direction of writing, zero-width spaces, line
    separators. Two names that look the same could not be told apart.
    """
    composed = person_name(name)
    if len(composed) > MOST_LETTERS:
        raise ValueError(f"a name has at most {MOST_LETTERS} letters, not {len(composed):,}")
    unseen = [c for c in composed if unicodedata.category(c) in UNSEEN and c not in JOINERS]
    if unseen or not composed.strip(JOINERS):
        raise ValueError(f"{composed!a} is not a valid person name: it has letters nobody can see")
    return composed


def folded(name: str) -> str:
    """Return what is left of `name` without case, accents and spaces: equal for likely typos."""
    if name.isascii():  # a search folds every name while the user types
        return "".join(name.casefold().split())
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    kept = (c for c in letters if unicodedata.combining(c) in (0, *OTHER_LETTER))
    return unicodedata.normalize("NFC", "".join("".join(kept).split()))
