"""Measure the branch coverage of the suite and fail where it is below what is asked.

``python tools/coverage_gate.py [PYTEST OPTION...]`` runs the suite with the interpreted sources of the
modules that may be compiled, since coverage sees no compiled code. Processes that the tests start are
measured too. ``fail_under`` in ``pyproject.toml`` is the least total in per cent.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


def measure(options: Sequence[str]) -> int:
    """Run the suite under coverage and print the report; returns the first exit status that is not 0."""
    environment = {**os.environ, "RECLOSER_PURE": "1"}
    run = [sys.executable, "-m", "coverage", "run", "-m", "pytest", *options]
    commands = [run, *([sys.executable, "-m", "coverage", name] for name in ("combine", "report"))]
    statuses = [
        subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        for command in commands
    ]
    return next((status for status in statuses if status), 0)


if __name__ == "__main__":
    sys.exit(measure(sys.argv[1:]))
