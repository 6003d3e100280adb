"""The site builds, where the extra ``docs`` is installed."""

import subprocess
import sys

import pytest

from conftest import ROOT


def test_site_builds_without_warnings(tmp_path):
    pytest.importorskip("material", reason="the extra docs is not installed")
    pytest.importorskip("mkdocstrings", reason="the extra docs is not installed")
    config = ROOT / "tools" / "docs" / "mkdocs.yml"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config]
    done = subprocess.run(
        [*command, "--site-dir", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").exists()
    assert "CircuitBreaker" in (tmp_path / "reference" / "index.html").read_text()
