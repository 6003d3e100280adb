"""Whether every extra installs alone, and each integration says what it lacks.

``python tools/extras.py`` makes an environment for each extra in turn, so it takes some minutes.
"""

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path
from typing import Final

import support_path  # noqa: F401  # the next import needs it
from integration_extras import MODULES

ROOT: Final = Path(__file__).parent.parent


def main() -> int:
    """Try each extra, print a line for each, and return how many failed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for name in project["optional-dependencies"] if name != "dev"]
    failures = _check_base()
    for extra in extras:
        with tempfile.TemporaryDirectory(prefix="recloser-extra-") as folder:
            python = _installed(Path(folder), f"{ROOT}[{extra}]")
            module = "recloser"
            if extra in MODULES:
                module = f"recloser.integrations.{MODULES[extra]}"
            said = _imported(python, module)
            print(f"{extra}: {module} {said or 'imports'}", flush=True)
            failures += said != ""
    return failures


def _check_base() -> int:
    """What comes with the base install, and what each integration says without its library."""
    failures = 0
    with tempfile.TemporaryDirectory(prefix="recloser-base-") as folder:
        python = _installed(Path(folder), str(ROOT))
        frozen = subprocess.run(
            [python, "-P", "-m", "pip", "list", "--not-required", "--format", "freeze"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        print(f"base: {' '.join(sorted(frozen.split()))}", flush=True)
        for extra, module in MODULES.items():
            if extra == "fastapi":
                continue
            said = _imported(python, f"recloser.integrations.{module}")
            print(f"base: {said}", flush=True)
            failures += f"pip install 'recloser[{extra}]'" not in said
    return failures


def _installed(folder: Path, what: str) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-P", "-m", "pip", "install", "-q", what], check=True)
    return python


def _imported(python: Path, module: str) -> str:
    """The last line that importing it prints, which is empty if it can be imported."""
    command = [str(python), "-P", "-W", "error", "-c", f"import {module}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition("\n")[2]


if __name__ == "__main__":
    sys.exit(main())
