"""The interpreted build is measured in a process of its own, in alternation with the compiled one."""

import json
import subprocess
import sys

import pytest
from attrs import asdict, evolve

from bench import calls, partner
from bench.calls import FLOOR
from bench.effort import SMOKE
from bench.ours import NO_LOG, WAYS

PRINT = (
    "from recloser.core import kernel; from recloser.live import line_encoding; from recloser.log import seals; "
    "print(kernel.IS_COMPILED, line_encoding.outcome_lines, seals.seal_search)"
)


def asked(*names):
    return [json.dumps([asdict(SMOKE), names])]


def test_interpreted_process_loads_no_compiled_module(tmp_path):
    with partner.interpreted(tmp_path, asked()) as other:
        command = [sys.executable, "-P", "-c", PRINT]
        printed = subprocess.check_output(command, env=other.environment, text=True)
    assert printed.split() == ["False", "None", "None"]


def test_interpreted_subjects_alternate_with_compiled_ones(tmp_path):
    with partner.interpreted(tmp_path, asked("calls")) as other:
        groups = list(calls.measured(evolve(SMOKE, partner=other), WAYS))
    for group in groups:
        names = [series.name for series in group.series]
        assert names[: 2 + len(WAYS)] == ["bare call", FLOOR, *(way.name for way in WAYS)]
        assert names[2 + len(WAYS) :] == [f"{way.name}{partner.INTERPRETED}" for way in WAYS]
        assert all(series.median > 0 for series in group.series)
    # It offers no subjects but recloser's.
    assert f"{FLOOR}{partner.INTERPRETED}" not in groups[0]
    assert f"{NO_LOG}{partner.INTERPRETED}" in groups[0]


def test_interpreted_process_that_ends_too_early_is_an_error(tmp_path):
    with (
        pytest.raises(partner.PartnerError, match="ended while others took turns"),
        partner.interpreted(tmp_path, asked()) as other,
    ):
        list(calls.measured(evolve(SMOKE, partner=other), WAYS))


def test_interpreted_process_that_fails_is_an_error(tmp_path, capfd):
    with (
        pytest.raises(partner.PartnerError, match="ended with status 1"),
        partner.interpreted(tmp_path, asked("nothing of that name")),
    ):
        pass
    assert "KeyError" in capfd.readouterr().err


def end_in_the_middle(other):
    assert [offer.name for offer in other.offers()] == ["recloser, replay, interpreted"]
    other._process.stdin.close()


def test_interpreted_process_ends_quietly_with_the_measuring_one(tmp_path, capfd):
    with (
        pytest.raises(partner.PartnerError, match="ended with status 1"),
        partner.interpreted(tmp_path, asked("replay")) as other,
    ):
        end_in_the_middle(other)
    assert "Traceback" not in capfd.readouterr().err
