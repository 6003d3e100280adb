"""Fixtures and settings of all tests: clocks, Redis servers, and real traces of others."""

import os
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import Phase, settings
from redis_fixtures import make_log, own_redis, redis_server, stream

from recloser import ManualClock
from recloser.live import last_permits

__all__ = ["clock", "make_log", "own_redis", "real_trace", "redis_server", "stream"]

# State machines take a multiple of a profile's examples: `pytest --hypothesis-profile=long`.
settings.register_profile("ci", deadline=None, print_blob=True)
settings.register_profile("long", settings.get_profile("ci"), max_examples=2000)
# Any failing example shows that a mutant was noticed; looking for the smallest one takes time.
UNSHRUNK = [Phase.explicit, Phase.generate]
settings.register_profile("unshrunk", settings.get_profile("ci"), phases=UNSHRUNK)
settings.register_profile("few", settings.get_profile("unshrunk"), max_examples=10)
settings.load_profile("ci")

# CI sets this variable, and `golden update` refuses to run with it. Tests of that set it themselves.
os.environ.pop("CI", None)

ROOT = Path(__file__).parent.parent
RECORDED_LOGS = sorted({path.parent for path in (ROOT / "fixtures").glob("*/*.jsonl")})
SHARED = Path(os.environ.get("RECLOSER_SHARED", ROOT.parent / "shared"))


_QUICK = (
    *("core", "log/test_codec.py", "log/test_seals.py", "log/test_reader.py", "test_clock.py"),
    *(
        "live/test_breaker.py",
        "live/test_half_open.py",
        "live/test_modes.py",
        "live/test_blocks.py",
    ),
    *("live/test_decision.py", "live/test_fast_path.py", "live/test_registry.py"),
    *(
        "history/test_engine.py",
        "history/test_difference.py",
        "simulate",
        "whatif/test_comparison.py",
    ),
    *("audit/test_explanation.py", "golden/test_golden_file.py"),
)
"""The tests of ``pytest -m quick``, below this folder: the rules, the log, live breakers, histories."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests."""
    quick = [Path(__file__).parent / name for name in _QUICK]
    for item in items:
        if any(item.path.is_relative_to(path) for path in quick):
            item.add_marker("quick")


def pytest_runtest_setup() -> None:
    """Forget the permits that earlier tests left open, as each makes reporting a call slower."""
    last_permits._last_permits.set(MappingProxyType({}))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def real_trace() -> "RealTraces":
    return RealTraces()


class RealTraces:
    """Finds traces recorded by others, which are not part of the project; skips without them."""

    def __call__(self, name: str) -> Path:
        path = SHARED / "data" / name
        if not path.exists():
            pytest.skip(f"the real trace {path} is not on this machine")
        return path
