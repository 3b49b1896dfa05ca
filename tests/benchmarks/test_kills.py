"""A few kills of every operation: what was acknowledged is there, and nobody has a wrong name."""

import os
import random

import pytest

from benchmarks.kills import VERBS, kills

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


@pytest.mark.timeout(120)
def test_nothing_acknowledged_is_lost_when_any_operation_is_killed(tmp_path):
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201
    figures = kills(len(VERBS), seed, tmp_path)
    assert figures["acknowledged_faces"] > 0
    assert figures["answers_to_the_reader"] > 0
