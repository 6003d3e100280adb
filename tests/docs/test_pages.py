"""The README and every page of the documentation are true: what they show runs and prints that."""

import difflib
import importlib
import re
import shlex
import shutil
import tomllib

import attrs
import pytest
from click.testing import CliRunner
from integration_extras import MODULES

from conftest import ROOT
from docs import reference, servers
from docs.pages import FOLDER, Page, PageError, all_pages
from recloser import CircuitBreakerConfig, replay
from recloser.cli import main
from recloser.core import state_machine

PAGES = all_pages()
GENERATED = {name for name, _ in reference.generated()}
WRITTEN = [path for path in PAGES if path.name not in GENERATED]
UPDATE = "python tools/docs writes what is printed now; review the difference"


def named(path):
    return path.stem


def text_of(name):
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    """A folder with what a clone of the repository has for readers to work on."""
    shutil.copytree(ROOT / "fixtures", tmp_path / "fixtures")
    return tmp_path


@pytest.mark.parametrize("path", WRITTEN, ids=named)
def test_page_prints_what_it_shows(path, folder):
    page = Page.read(path)
    with servers.started(page.needs) as addresses:
        if addresses is None:
            pytest.skip(f"no server for {', '.join(page.needs)} on this machine")
        for run in page.run(folder, addresses):
            if not run.is_as_shown:
                shown = difflib.unified_diff(
                    run.block.lines, run.lines, "shown", "printed", lineterm=""
                )
                pytest.fail(f"{path}:{run.block.line}: {UPDATE}\n" + "\n".join(shown))
    for log in folder.glob("logs/*"):
        history = replay(log)
        assert history.snapshots
        assert history.differences == []


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_generated_page_is_up_to_date(name):
    assert dict(reference.generated())[name] == text_of(name), "run: python tools/docs"


@pytest.mark.parametrize("path", WRITTEN, ids=named)
def test_every_block_that_is_not_run_says_why(path):
    ci = (ROOT / ".ci" / "run").read_text()
    for block in Page.read(path).blocks:
        if "run by .ci/run" in block.markers:
            assert all(line in ci for line in block.lines), f"{path}:{block.line}"
        elif "fragment" in block.markers:
            assert block.language not in ("console", "python"), f"{path}:{block.line}"


def test_every_command_is_run_by_a_page():
    run = " ; ".join(command for path in PAGES for command in Page.read(path).commands)
    paths = [path for path in reference.command_paths() if path]
    groups = {path[:-1] for path in paths}
    formats = {("import", name) for name in ("otlp", "jaeger", "zipkin", "resilience4j", "csv")}
    for path in paths:
        if path not in groups and path not in formats:
            assert f"recloser {' '.join(path)}" in run, path


def anchors_of(text):
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", WRITTEN, ids=named)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        linked = path.parent / file if file else path
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors_of(linked.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("path", WRITTEN, ids=named)
def test_tools_and_files_that_a_page_names_exist(path):
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"`(?:python )?((?:tools|tests|src|fixtures)/[\w./-]+)", text):
        assert (ROOT / name.rstrip(".")).exists(), name


@pytest.mark.parametrize("path", WRITTEN, ids=named)
def test_extras_that_a_page_names_exist(path):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    text = path.read_text(encoding="utf-8")
    named_after = re.findall(r"\bextras?\s+`([\w-]+)`", text)
    installed = re.findall(r"(?:recloser|\.)\[([\w,-]+)\]", text)
    assert {*named_after, *",".join(installed).split(",")} - {""} <= set(extras)


def test_site_lists_every_page():
    config = (ROOT / "tools" / "docs" / "mkdocs.yml").read_text()
    listed = set(re.findall(r"([\w-]+\.md)$", config, re.MULTILINE))
    assert listed == {path.name for path in PAGES if path.parent == FOLDER} | {
        "index.md",
        "reference.md",
    }


@pytest.mark.parametrize("path", WRITTEN, ids=named)
def test_page_has_one_title_and_a_first_sentence(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


def test_settings_are_listed_with_their_defaults():
    table = dict(
        re.findall(r"^\| `(\w+)` \| `?(.+?)`? \|", text_of("settings-and-windows.md"), re.MULTILINE)
    )
    defaults = CircuitBreakerConfig()
    names = [field.name for field in attrs.fields(CircuitBreakerConfig)]
    assert table == {name: str(getattr(defaults, name)) for name in names}


def test_figures_of_the_real_trace_are_what_whatif_prints(real_trace, tmp_path, monkeypatch):
    """The trace is not part of the repository, so the page does not run its commands."""
    shutil.copy(real_trace("trainticket-2023-01-29.csv.gz"), tmp_path)
    blocks = Page.read(FOLDER / "choosing-settings.md").blocks
    (block,) = (block for block in blocks if "trainticket" in block.text)
    imported, compared, *shown = block.lines
    monkeypatch.chdir(tmp_path)
    for command in (imported, compared):
        result = CliRunner().invoke(main, shlex.split(command.removeprefix("$ recloser ")))
    assert [line.rstrip() for line in result.stdout.rstrip("\n").splitlines()] == shown


def test_state_diagram_is_the_declared_one():
    blocks = [b.text for b in Page.read(FOLDER / "design.md").blocks if b.language == "mermaid"]
    assert blocks == [state_machine.mermaid() + "\n"]


def test_every_integration_is_listed_with_its_extra_and_imported_by_a_block():
    page = Page.read(FOLDER / "integrations.md")
    text = "\n".join(page.lines)
    rows = re.findall(r"^\| .+? \| (`.+`) \| `\.(\w+) import (.+)` \|$", text, re.MULTILINE)
    assert sorted(e for names, _, _ in rows for e in re.findall(r"`(\w+)`", names)) == sorted(
        MODULES
    )
    code = "\n".join(block.text for block in page.blocks if block.language == "python")
    for _, module, names in rows:
        integration = importlib.import_module(f"recloser.integrations.{module}")
        assert set(names.split(", ")) <= set(integration.__all__)
        assert f"from recloser.integrations.{module} import" in code


def test_page_that_shows_another_output_is_found(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("# A page\n\n```console\n$ echo one\ntwo\n```\n")
    page = Page.read(path)
    (run,) = page.run(tmp_path, {})
    assert not run.is_as_shown
    assert page.with_outputs([run]) == "# A page\n\n```console\n$ echo one\none\n```\n"


def test_page_whose_command_fails_is_found(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("```sh\nfalse\n```\n")
    with pytest.raises(PageError, match="status 1 instead of 0"):
        list(Page.read(path).run(tmp_path, {}))


def test_python_block_is_compared_with_the_text_after_it(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("```python\nprint(6 * 7)\n```\n\n```text\n41\n```\n")
    page = Page.read(path)
    (run,) = page.run(tmp_path, {})
    assert page.with_outputs([run]) == path.read_text().replace("41", "42")
