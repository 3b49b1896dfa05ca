"""`python -m facesearch_cli` is `facesearch`."""

from facesearch_cli.main import run

run()
