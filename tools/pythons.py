"""Check the golden files of the fixtures under other Pythons, with other hash seeds.

    python tools/pythons.py PYTHON ...

For each interpreter an environment is made in a scratch folder, recloser is installed in it from
this checkout, and ``recloser golden check fixtures`` must find every digest as it is committed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

ROOT: Final = Path(__file__).parent.parent
SEEDS: Final = ("0", "1", "4242", "random")


@click.command(help=__doc__)
@click.argument("pythons", nargs=-1, required=True)
def main(*, pythons: tuple[str, ...]) -> None:
    """Check under each interpreter; exit 1 if one of them finds a difference."""
    failed = [python for python in pythons if not _is_same_under(python)]
    sys.exit(1 if failed else 0)


def _is_same_under(python: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-P", "-m", "venv", folder], check=True)
        own = Path(folder) / "bin" / "python"
        subprocess.run([own, "-P", "-m", "pip", "install", "-q", ROOT], check=True)
        version = subprocess.check_output([own, "--version"], text=True).strip()
        statuses = [_check(own, seed) for seed in SEEDS]
    same = not any(statuses)
    click.echo(f"{version}: {'every digest as committed' if same else 'a digest differs'}")
    return same


def _check(python: Path, seed: str) -> int:
    recloser = python.with_name("recloser")
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command: list[str | Path] = [recloser, "golden", "check", "fixtures"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    main()
