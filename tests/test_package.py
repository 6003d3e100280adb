"""The package as a whole: imports, names, and where time is read and state is written."""

import ast
import subprocess
import sys
from pathlib import Path
from types import GetSetDescriptorType, MemberDescriptorType

import pytest

import conftest
import recloser
from conftest import ROOT
from recloser.core.state import BreakerState

SOURCE = ROOT / "src" / "recloser"

# Imports point down: a module may import from its own room and from the rooms listed below it.
ROOMS = (
    "pytest_plugin",
    "cli",
    "demo",
    "arrow",
    "redis",
    "testing",
    "importers",
    "cluster",
    "sharing",
    "audit",
    "golden",
    "proof",
    "whatif",
    "simulate",
    "history",
    "compat",
    "integrations",
    "live",
    "log",
    "clock",
    "core",
    "errors",
    "version",
    "process",
)
ABOVE_THE_ROOMS = {"__init__", "__main__", "fleet"}
"""Modules that import from any room: the public names, the command, and deprecated names."""


def room_of(module):
    """The room of a module, by the parts of its name below ``recloser``."""
    # pytest loads the plugin, which prints differences as the command line does.
    return "pytest_plugin" if module[:2] == ["golden", "pytest_plugin"] else module[0]


def modules():
    return sorted(SOURCE.rglob("*.py"))


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)


def loaded_by(code):
    """Return the names of the modules that a new Python process has loaded after ``code``."""
    show = "import sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_using_the_package_loads_no_library_of_the_command_line():
    loaded = loaded_by("from recloser import *")
    assert "recloser.live.breaker" in loaded
    assert loaded.isdisjoint(
        {
            "rich",
            "click",
            "numpy",
            "httpx",
            "zstandard",
            "pyarrow",
            "redis",
            "urllib.request",
            "distributed",
        }
    )


def test_importing_recloser_loads_no_library_before_it_is_used():
    assert loaded_by("import recloser").isdisjoint({"attrs", "msgspec", "transitions"})
    loaded = loaded_by("from recloser import CircuitBreaker, EventLog")
    assert not {name for name in loaded if name.startswith(("recloser.audit", "recloser.history"))}


def test_version_option_loads_no_library_of_breakers():
    loaded = loaded_by("from recloser.cli import status_of; status_of(['--version'])")
    assert loaded.isdisjoint({"attrs", "msgspec", "transitions", "rich"})


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_function_hides_a_module(path):
    """``mock.patch`` and ``import`` reach every module by its name."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    if parts[-1] in ("__init__", "__main__"):
        parts = parts[:-1]
    assert not parts or parts[0] not in recloser.__all__


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("recloser.fleet.redis", "recloser.redis", "RedisLog"),
        ("recloser.fleet.tables", "recloser.arrow", "edges_of"),
    ],
)
def test_old_names_of_public_modules_work_with_a_warning(old, new, name):
    code = (
        "import warnings; warnings.simplefilter('error', DeprecationWarning)\n"
        f"try:\n    import {old}\nexcept DeprecationWarning as warning: print(warning)\n"
        "warnings.simplefilter('ignore')\n"
        f"from {old} import {name} as old\nfrom {new} import {name} as new\nassert old is new"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert new in done.stdout


def test_every_module_belongs_to_a_room():
    names = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in modules()}
    assert names == {*ROOMS, *ABOVE_THE_ROOMS} - {"pytest_plugin"}


def test_no_module_name_occurs_twice():
    """Every file is found by its name alone."""
    files = [path.stem for path in modules() if path.stem != "__init__"]
    assert [name for name in files if files.count(name) > 1] == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path):
    name = list(path.relative_to(SOURCE).with_suffix("").parts)
    if name[0] in ABOVE_THE_ROOMS:
        return
    for module, imported in imports_of(path):
        if not module or not module.startswith("recloser"):
            continue
        _, *target = [*module.split("."), imported]
        if room_of(target) not in ROOMS:
            # The demo imports public names, as users do.
            assert name[0] == "demo"
            continue
        assert ROOMS.index(room_of(target)) >= ROOMS.index(room_of(name)), (
            f"{path} imports {module}"
        )


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_time_is_read_in_one_file(path):
    if path.name == "clock.py":
        return
    tree = ast.parse(path.read_text())
    assert all(module not in ("time", "random") for module, _ in imports_of(path))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    read = {f.attr for f in calls if isinstance(f, ast.Attribute) and _is_datetime(f.value)}
    assert read.isdisjoint({"now", "utcnow", "today"})


def _is_datetime(node):
    return isinstance(node, ast.Name) and node.id in ("datetime", "date")


@pytest.mark.parametrize("path", sorted((SOURCE / "core").glob("*.py")), ids=lambda path: path.stem)
def test_core_does_no_io(path):
    imported = {module for module, _ in imports_of(path)}
    assert imported.isdisjoint({"os", "io", "socket", "threading", "subprocess"})


def kernel_fields():
    """Return the names of the attributes of a breaker's state that the kernel declares."""
    kinds = (MemberDescriptorType, GetSetDescriptorType)  # interpreted, compiled
    return {name for name in dir(BreakerState) if isinstance(getattr(BreakerState, name), kinds)}


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if "core" not in path.relative_to(SOURCE).parts],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_only_core_writes_the_state_of_a_breaker(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            owner = ast.unparse(node.value).removeprefix("self.").lstrip("_")
            is_of_a_state = owner == "state" or owner.endswith("_state")
            assert not (is_of_a_state and node.attr in kernel_fields()), ast.unparse(node)


def test_public_names_are_exactly_those_listed():
    assert sorted(recloser.__all__) == recloser.__all__
    for name in recloser.__all__:
        assert hasattr(recloser, name)
    assert set(recloser.__all__) == {*recloser._HOMES, "__version__"}
    assert set(recloser.__all__) <= set(dir(recloser))
    with pytest.raises(AttributeError, match="has no attribute 'breakers'"):
        recloser.breakers


def test_repository_has_only_the_agreed_top_level_entries():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    top = {Path(name).parts[0] for name in listed.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "src",
        "tests",
        "fixtures",
        "tools",
    }


def test_the_quick_tests_are_there():
    for name in conftest._QUICK:
        assert (ROOT / "tests" / name).exists(), name
