"""Nearest rows: float32 rows and ids in, ids and scores out. Nothing here knows of faces.

Importing the package or `index_store` does not load FAISS, which takes longer than a search;
importing `faiss_index`, `files` or `binary` does.
"""

from facesearch_indexes.base import IndexDamaged, Matches, VectorIndex
from facesearch_indexes.index_store import FaissFiles, IndexStore, build_index

__all__ = ["FaissFiles", "IndexDamaged", "IndexStore", "Matches", "VectorIndex", "build_index"]
