"""Build the wheel, install it, and run the quick tests against it, with the sources out of reach.

``python tools/check_wheel.py [PYTEST OPTION...]``: everything happens in a temporary folder. What the tests
import besides recloser and pytest is installed from the extras.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_EXTRAS: Final = "parquet,redis,dask,testing,traces,report,otlp"
_COPIED: Final = ("tests", "fixtures", "tools", "pyproject.toml", "README.md", ".ci")


def check(options: Sequence[str]) -> int:
    """Run the quick tests against a wheel built from this checkout; returns pytest's exit status.

    Raises:
        subprocess.CalledProcessError: The wheel could not be built or installed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        pip: list[str | Path] = [python, "-m", "pip", "-q"]
        subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, ROOT], check=True)
        (wheel,) = folder.glob("recloser-*.whl")
        subprocess.run([*pip, "install", f"{wheel}[{_EXTRAS}]", "pytest-xdist"], check=True)
        project = folder / "project"
        project.mkdir()
        for part in _COPIED:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, project / part)
            else:
                shutil.copy(source, project / part)
        print(f"testing {wheel.name}", flush=True)
        command: list[str | Path] = [python, "-P", "-m", "pytest", "-m", "quick", *options]
        return subprocess.run(command, cwd=project, check=False).returncode


if __name__ == "__main__":
    sys.exit(check(sys.argv[1:]))
