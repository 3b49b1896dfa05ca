"""Nearest rows: float32 rows and ids in, ids and scores out. Nothing here knows of faces.

Only the protocol is at hand here: importing `faiss_index` or `files` loads FAISS, which takes
longer than a search, so a caller does that when, and on the thread where, it suits.
"""

from facesearch_indexes.base import IndexDamaged, Matches, VectorIndex

__all__ = ["IndexDamaged", "Matches", "VectorIndex"]
