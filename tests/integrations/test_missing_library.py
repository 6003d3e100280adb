"""An integration whose library is missing reports in one line what to install."""

import importlib
import subprocess
import sys
import tomllib

import pytest
from integration_extras import MODULES

from conftest import ROOT
from recloser import RecloserError
from recloser.integrations import needs

LIBRARIES = {"otel": "opentelemetry", "prometheus": "prometheus_client", "fastapi": "starlette"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("extra", MODULES)
def test_missing_library_is_reported_with_its_extra(extra, monkeypatch):
    library = LIBRARIES.get(extra, extra)
    module = f"recloser.integrations.{MODULES[extra]}"
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Without(library), *sys.meta_path])
    with pytest.raises(ImportError) as said:
        __import__(module)
    assert isinstance(said.value, RecloserError)
    named = "starlette" if extra == "fastapi" else extra
    assert str(said.value) == (
        f"this integration needs {library}, which is not installed; pip install 'recloser[{named}]'"
    )


def test_missing_redis_library_is_reported_with_its_extra(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("connection", "redis_log", "round_trips", "stream_joining", "stream_start"):
        monkeypatch.delitem(sys.modules, f"recloser.sharing.{name}", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Without("redis"), *sys.meta_path])
    with pytest.raises(RecloserError, match=r"needs redis, .* pip install 'recloser\[redis\]'"):
        importlib.import_module("recloser.sharing.redis_log")


class _Without:
    """An import hook that hides one library."""

    def __init__(self, library):
        self.library = library

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_missing_dependency_of_a_library_is_raised_unchanged():
    with pytest.raises(ModuleNotFoundError, match="of_its_own"), needs("httpx", extra="httpx"):
        importlib.import_module("of_its_own")


def test_every_integration_has_an_extra():
    modules = {path.stem for path in (ROOT / "src/recloser/integrations").glob("*.py")}
    shared = {"__init__", "http", "transport", "counts", "callers_faults", "given_breakers"}
    assert modules - shared == set(MODULES.values())
    assert set(MODULES) <= set(PROJECT["optional-dependencies"])


def test_base_install_needs_no_integration_library():
    base = {requirement.partition(">")[0] for requirement in PROJECT["dependencies"]}
    assert base == {"attrs", "click", "msgspec", "rich", "transitions", "zstandard"}


def test_importing_the_package_loads_no_integration():
    code = "import recloser, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {name for name in loaded if name.startswith(("recloser.integ", "recloser.compat"))}
    assert loaded.isdisjoint({*MODULES, *LIBRARIES.values()})
