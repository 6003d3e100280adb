"""Live breaker, replay, both kernels and model agree on every short sequence of steps."""

import os

import pytest

from every_sequence import CASES, STEPS, walk

DEPTH = int(os.environ.get("RECLOSER_SEQUENCE_DEPTH", "4"))
"""`python tools/every_sequence.py --depth 7` goes on, for minutes."""


@pytest.mark.parametrize("name", CASES)
def test_all_agree_after_every_step_of_every_sequence(name):
    found = walk(name, DEPTH)
    assert found.sequences == sum(len(STEPS) ** depth for depth in range(1, DEPTH + 1))
