"""Runs the tests of pybreaker and circuitbreaker on recloser: ``python tools/peer_suites.py``.

The source distributions of ``circuitbreaker`` and ``pybreaker`` are downloaded with pip, and the
tests in them run, unmodified, in an environment of their own where importing the library gives
``recloser.compat``. If a distribution has no tests, that is printed; ``--tests`` names the tests of a
checkout instead. No file of these libraries is kept.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from recloser.log.listing import is_folder

ROOT: Final = Path(__file__).parent.parent
VERSIONS: Final = {"circuitbreaker": "2.1.3", "pybreaker": "1.4.1"}
NEEDED: Final = ("pytest", "pytest-asyncio", "pytest-mock", "tornado", "fakeredis")

STAND_IN: Final = """\
import sys
from recloser.compat import {peer}
sys.modules[__name__] = {peer}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites, print a line for each, and return 0 if every test of them passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tests",
        action="append",
        default=[],
        metavar="PEER=PATH",
        help="a test file or folder to run in place of those of the source distribution",
    )
    given = dict(item.split("=", 1) for item in parser.parse_args(arguments).tests)
    with tempfile.TemporaryDirectory(prefix="recloser-peers-") as name:
        scratch = Path(name)
        python = _environment(scratch / "venv")
        results = [_run(peer, scratch, python, given.get(peer)) for peer in VERSIONS]
    return 0 if all(results) else 1


def _environment(path: Path) -> Path:
    venv.create(path, with_pip=True)
    python = path / "bin" / "python"
    subprocess.run([python, "-P", "-m", "pip", "install", "-q", str(ROOT), *NEEDED], check=True)
    return python


def _run(peer: str, scratch: Path, python: Path, given: str | None) -> bool:
    """Run the tests of one library; returns whether all passed, or there are none."""
    folder = scratch / peer
    stand_ins = folder / "stand-ins"
    stand_ins.mkdir(parents=True)
    (stand_ins / f"{peer}.py").write_text(STAND_IN.format(peer=peer))
    tests = Path(given) if given else _tests_of(peer, folder, python)
    title = f"{peer} {VERSIONS[peer]}" if given is None else f"{peer}, {given}"
    if tests is None:
        print(f"{title}: its source distribution has no tests")
        return True
    copied = folder / "tests"
    if is_folder(tests):
        shutil.copytree(tests, copied)
    else:
        copied.mkdir()
        shutil.copy(tests, copied)
    options = ["-q", "-rfE", "--tb=line", "-p", "no:cacheprovider", "-c", "/dev/null"]
    options += ["-o", "asyncio_mode=auto", "-o", "python_files=test*.py *test.py"]
    done = subprocess.run(
        [python, "-m", "pytest", *options, "--rootdir", str(copied), str(copied)],
        cwd=copied,
        env={"PYTHONPATH": str(stand_ins), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    for line in lines:
        if re.match("FAILED|ERROR", line):
            print(line)
    print(f"{title}: {lines[-1] if lines else done.stderr}")
    return done.returncode == 0


def _tests_of(peer: str, folder: Path, python: Path) -> Path | None:
    """Unpack the source distribution of a library, and return the path of its tests."""
    wanted = f"{peer}=={VERSIONS[peer]}"
    download = ["download", "-q", "--no-deps", "--no-binary", peer, "-d", str(folder), wanted]
    subprocess.run([python, "-P", "-m", "pip", *download], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    return next((path for path in (source / "tests", source / "test") if is_folder(path)), None)


if __name__ == "__main__":
    sys.exit(main())
