"""Random attacks on a service, and planted faults that the judge of the attacks must find.

``tools/host_faults.py`` runs more of them, under other Pythons too.
"""

import os
import random
import subprocess
import sys
import threading

import pytest
from host_rounds.checks import MAIN, path_of
from host_rounds.judge import FAMILIES
from host_rounds.plan import ATTACKS, NONE, draw
from host_rounds.planted import FAMILIES as PLANTED
from host_rounds.rounds import run_round, run_rounds, wait_for_orphans

if not hasattr(os, "fork"):
    pytest.skip("there is no fork on this platform", allow_module_level=True)

ROUNDS = 60
JOBS = 2


def violations_in(verdicts):
    """List all violations, with the seed that runs each round again."""
    return [
        f"seed {verdict.plan.seed}: {family}: {what}"
        for verdict in verdicts
        for family, what in verdict.violations
    ]


def test_60_rounds_of_attacks_cause_no_hang_and_no_fault(capsys):
    seed = random.SystemRandom().randrange(1 << 24)
    plans = [draw(seed + number) for number in range(ROUNDS)]
    verdicts = list(run_rounds(plans, [sys.executable], JOBS))
    with capsys.disabled():
        print(
            f"\nhost faults: {ROUNDS} rounds from seed {seed}, {sum(map(is_wrong, verdicts))} wrong"
        )
    assert violations_in(verdicts) == []
    assert sum(verdict.outcomes for verdict in verdicts) > 100 * ROUNDS
    assert sum(verdict.raised for verdict in verdicts) > ROUNDS
    assert sum(verdict.acted for verdict in verdicts) > ROUNDS


def is_wrong(verdict):
    return bool(verdict.violations)


@pytest.mark.parametrize("plant", list(PLANTED))
def test_planted_fault_is_found(plant):
    verdict = run_round(draw(1, plant=plant), sys.executable)
    assert PLANTED[plant] in verdict.families
    assert PLANTED[plant] in FAMILIES


def test_round_without_attacks_reports_no_fault():
    verdict = run_round(draw(2, only=NONE), sys.executable)
    assert violations_in([verdict]) == []
    assert verdict.outcomes > 100


def test_same_seed_draws_the_same_plan():
    assert draw(3) == draw(3)
    assert draw(3) != draw(4)
    drawn = {attack for seed in range(100) for attack in draw(seed).attacks}
    assert drawn == set(ATTACKS)


def test_plan_is_unchanged_when_sent_to_the_process():
    plan = draw(5)
    assert type(plan).from_json(plan.to_json()) == plan


def test_log_of_a_child_is_found_by_its_process_id(tmp_path):
    """This holds even if a signal handler makes the first call in the child."""
    own, parents = tmp_path / f"log-7-{os.getpid()}", tmp_path / "log-7"
    assert path_of(parents, MAIN) == str(parents)
    assert path_of(own, "of multiprocessing") == str(own)
    assert path_of(tmp_path / f"{own.name}-2", "a grandchild") == f"{own}-2"
    assert path_of(parents, "a grandchild") == f"{parents}, none of {os.getpid()}"


def test_orphaned_process_is_waited_for(tmp_path):
    """If it was not awaited, it would be killed before its report and look like a crash."""
    orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (tmp_path / f"begun-{orphan.pid}").touch()
    waiting = threading.Thread(target=wait_for_orphans, args=[tmp_path])
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    (tmp_path / f"report-{orphan.pid}.json").touch()
    waiting.join(20)
    assert not waiting.is_alive()
    orphan.communicate(b"\n")
