"""Rates and protocols: pure numpy on scores."""
