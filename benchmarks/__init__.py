"""What the README claims, measured: `python -m benchmarks.lfw` and `.photos`."""
