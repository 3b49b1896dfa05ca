"""Nearest rows: float32 rows and ids in, ids and scores out. Nothing here knows of faces."""
