"""Who is in this photo? Offline face identification with calibrated probabilities."""
