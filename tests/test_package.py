"""The package as a whole: what it loads, which way its imports point, what it promises."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import recloser
from conftest import ROOT

SOURCE = ROOT / "src" / "recloser"

# Arrows point down: a module may import from its own layer and from those below it.
LAYERS = [
    {"pytest_plugin", "__main__"},
    {"cli"},
    {"demo"},
    {"audit", "fleet", "importers", "testing"},
    {"replay"},
    {"columns"},
    {"integrations", "compat"},
    {"registry"},
    {"breaker"},
    {"reports"},
    {"log", "forms", "fast_path", "blocks", "classification", "arguments"},
    {"logfold", "listeners", "settings", "results", "settings_in_force"},
    {"nested"},
    {"decision"},
    {"gate", "pending", "snapshot", "clock"},
    {"fold"},
    {"state"},
    {"core", "checkpoint_parts"},
    {"machine"},
    {"config"},
    {"backoff", "gaps"},
    {"validation", "events", "dotted_names", "predicate_marks"},
    {
        *("child_python", "contexts", "errors", "forks", "from_sources", "host_logging", "limits"),
        *("thread_runner", "version", "wording"),
    },
]


def layer_of(name):
    (level,) = [level for level, names in enumerate(LAYERS) if name in names]
    return level


def modules():
    return sorted(SOURCE.rglob("*.py"))


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)


def loaded_by(code):
    """The modules that a fresh Python has loaded after ``code``."""
    show = "import sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_using_the_package_loads_no_library_of_the_command_line():
    loaded = loaded_by("from recloser import *")
    assert "recloser.breaker" in loaded
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


def test_a_service_waits_for_no_more_than_it_uses():
    assert loaded_by("import recloser").isdisjoint({"attrs", "msgspec", "transitions"})
    loaded = loaded_by("from recloser import CircuitBreaker, EventLog")
    assert not {name for name in loaded if name.startswith(("recloser.audit", "recloser.replay."))}


def test_the_version_is_told_without_loading_what_breakers_need():
    loaded = loaded_by("from recloser.cli import status_of; status_of(['--version'])")
    assert loaded.isdisjoint({"attrs", "msgspec", "transitions", "rich"})


def test_a_package_of_the_same_name_does_not_hide_a_function():
    code = "import recloser.replay.engine, recloser; assert recloser.replay.__name__ == 'replay'"
    assert "recloser.replay.engine" in loaded_by(f"{code}; assert callable(recloser.replay)")


def test_every_module_belongs_to_a_layer():
    names = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in modules()}
    assert names - {"__init__"} == set().union(*LAYERS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrows_point_down(path):
    name = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if name == "__init__":
        return
    for module, imported in imports_of(path):
        if not module or not module.startswith("recloser"):
            continue
        target = [*module.split("."), imported][1]
        if target not in set().union(*LAYERS):
            # The public names, which the demo uses as a user would.
            assert name == "demo"
            continue
        assert layer_of(target) >= layer_of(name), f"{name} imports {target}"


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


@pytest.mark.parametrize(
    "name",
    [
        *("events", "config", "fold", "machine", "state", "backoff", "logfold", "snapshot"),
        *("core/kernel", "core/rules", "core/edges", "core/outcomes"),
    ],
)
def test_the_core_does_no_io(name):
    imported = {module for module, _ in imports_of(SOURCE / f"{name}.py")}
    assert imported.isdisjoint({"os", "io", "socket", "threading", "subprocess", "sys"})


def test_what_is_public_is_what_is_named():
    assert sorted(recloser.__all__) == recloser.__all__
    for name in recloser.__all__:
        assert hasattr(recloser, name)
    assert set(recloser.__all__) == {*recloser._HOMES, "__version__"}
    assert set(recloser.__all__) <= set(dir(recloser))
    with pytest.raises(AttributeError, match="has no attribute 'breakers'"):
        recloser.breakers


def test_the_top_level_is_as_agreed():
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
