"""The same photo, the same face, the same person twice: proposals, never acts by itself."""
