"""Training of Siamese networks; the only package that imports torch."""
