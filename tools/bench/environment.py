"""A virtual environment with recloser and all peers that can be installed."""

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.adapters import Adapter

ROOT: Final = Path(__file__).parent.parent.parent
_NEEDED: Final = (f"{ROOT}[report]", f"{ROOT}[parquet]")
_OTHERS: Final = ("eventsourcing",)
_REPLACED: Final = ("purgatory-circuitbreaker",)
"""Packages in an older environment whose modules have the same names as those of a peer."""


def prepared(folder: Path, adapters: Sequence[Adapter]) -> tuple[Path, dict[str, str]]:
    """Make the environment, or bring an existing one up to date.

    Returns:
        The path of its Python; and for each peer that could not be installed, the reason of pip.

    Raises:
        subprocess.CalledProcessError: recloser itself can't be installed.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    failure = _install(python, "--force-reinstall", "--no-deps", str(ROOT))
    failure = failure or _install(python, *_NEEDED)
    if failure is not None:
        raise SystemExit(f"recloser can't be installed in {folder}: {failure}")
    _pip(python, "uninstall", "-q", "-y", *_REPLACED)
    wanted = {adapter.name: adapter.requirements or (adapter.name,) for adapter in adapters}
    wanted |= {name: (name,) for name in _OTHERS}
    missing = {}
    for name, requirements in wanted.items():
        failure = _install(python, *requirements)
        if failure is not None:
            missing[name] = failure
    return python, missing


def _install(python: Path, *arguments: str) -> str | None:
    """Install packages; returns the error of pip, or None."""
    done = _pip(python, "install", "-q", *arguments)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["pip failed"])[-1].removeprefix("ERROR: ")


def _pip(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-P", "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
