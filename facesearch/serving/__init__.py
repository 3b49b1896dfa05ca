"""What the page and an interface for programs share: guard, decoding, uploads, reviews."""
