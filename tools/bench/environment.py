"""An environment of its own, with recloser and all the peers that can be installed."""

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
"""Packages that a kept environment may have, and whose modules have the names of a peer's."""


def prepared(folder: Path, adapters: Sequence[Adapter]) -> tuple[Path, dict[str, str]]:
    """Make the environment, or bring it up to date where it is there already.

    Returns:
        Its Python; and by name what could not be installed, with pip's reason.

    Raises:
        subprocess.CalledProcessError: Recloser itself can't be installed.
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
    """Why pip could not; None if it could."""
    done = _pip(python, "install", "-q", *arguments)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["pip failed"])[-1].removeprefix("ERROR: ")


def _pip(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-P", "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
