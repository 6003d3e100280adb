"""Any implementation can compute the digest of a history, and nothing around it changes it."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from conftest import RECORDED_LOGS, ROOT
from recloser import replay

FIXTURES = ROOT / "fixtures"
NAMES = [path.name for path in RECORDED_LOGS]


def digest_by_hand(folder):
    """Compute the digest from the text of a log, by the design and with none of our code."""
    lines = {}
    for segment in sorted(folder.glob("*.jsonl")):
        for line in segment.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["event"] != "state_changed":
                continue
            names = ("breaker", "epoch", "at", "from", "to", "trigger")
            canonical = "\x1f".join(str(event[name]) for name in names) + "\x0a"
            lines.setdefault(event["breaker"], []).append(canonical)
    text = "".join("".join(lines[breaker]) for breaker in sorted(lines))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def digests(python=sys.executable, **environment):
    """The digest of each fixture, replayed by another process."""
    code = (
        "import sys; from recloser import replay; print(*(replay(p).digest for p in sys.argv[1:]))"
    )
    done = subprocess.run(
        [python, "-c", code, *(FIXTURES / name for name in NAMES)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(NAMES, done.stdout.split(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_digest_equals_the_one_computed_by_hand_and_the_committed_one(name):
    golden = json.loads((FIXTURES / f"{name}.golden.json").read_text(encoding="utf-8"))
    assert golden["digest"] == digest_by_hand(FIXTURES / name)


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "0"},
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "4294967295"},
        {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONUTF8": "0"},
        {"PYTHONOPTIMIZE": "2"},
    ],
    ids=lambda environment: "-".join(environment.values()).replace("/", "-"),
)
def test_hash_seed_time_zone_locale_and_optimization_do_not_change_the_digest(environment):
    assert digests(**environment) == {name: digest_by_hand(FIXTURES / name) for name in NAMES}


def test_because_is_a_deprecated_name_of_engine_reason():
    history = replay(RECORDED_LOGS[0])
    with pytest.warns(DeprecationWarning, match="use History.engine_reason"):
        assert history.because == history.engine_reason
