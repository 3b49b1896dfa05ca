"""Names of people: which are valid, how they are stored, and when two look like a typo."""

import unicodedata


def person_name(name: str) -> str:
    """Return `name` as it is stored: composed (NFC), without spaces around it.

    Raises ValueError if nothing is left, or it holds control characters or bytes that are not text.
    """
    composed = unicodedata.normalize("NFC", name).strip()
    if not composed or any(unicodedata.category(c) in ("Cc", "Cs") for c in composed):
        raise ValueError(f"{name!r} is not a valid person name")
    return composed


def folded(name: str) -> str:
    """Return what is left of `name` without case, accents and spaces: equal for likely typos."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    if not letters.isascii():  # a search folds every name while the user types
        letters = "".join(c for c in letters if not unicodedata.combining(c))
    return "".join(letters.split())
