"""People, photos, faces, templates and decisions in SQLite: the only truth."""
