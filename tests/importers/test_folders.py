"""The folders of the importers, and the direction of the imports between them."""

import ast

import pytest

from conftest import ROOT

IMPORTERS = ROOT / "src" / "recloser" / "importers"
PREFIX = "recloser.importers."

ORDER = (
    "trace_import",
    "option_checks",
    "detection",
    "call_log",
    "import_request",
    "mapping",
    "formats",
    "outcomes",
    "spans",
    "records",
    "unwrapping",
    "input",
    "sorted_runs",
    "import_batches",
    "values",
)
"""A module imports from its own folder and from those that follow it here."""

ALONE = ("other_libraries",)
"""Folders that share nothing with the others."""

MODULES = sorted(
    path.relative_to(IMPORTERS).with_suffix("") for path in IMPORTERS.rglob("*.py") if path.stem != "__init__"
)  # fmt: skip


def test_every_folder_has_a_position():
    assert {path.parts[0] for path in MODULES} == {*ORDER, *ALONE}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_module_imports_only_from_its_folder_and_those_below(path):
    tree = ast.parse((IMPORTERS / path.with_suffix(".py")).read_text())
    imported = {
        node.module.removeprefix(PREFIX).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PREFIX)
    }
    folder = path.parts[0]
    allowed = {folder} if folder in ALONE else {*ORDER[ORDER.index(folder) :]}
    assert imported <= allowed


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_page_names_the_folder(path):
    assert path.parts[0] in (IMPORTERS / "README.md").read_text()
