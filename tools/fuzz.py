"""Coverage-guided fuzzing of everything that reads a log; only a RecloserError may be raised.

    pip install atheris
    python tools/fuzz.py CORPUS [-max_total_time=600] [another option of libFuzzer]...

Each input is read as it is, and once more with recomputed seals, which reaches the code that runs
after the seals are checked. CORPUS is a folder that starts with the segments of ``fixtures``.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["recloser"]):
    from recloser.errors import RecloserError
    from recloser.history.engine import is_traffic, replay
    from recloser.log.codec import decode
    from recloser.log.listing import SEGMENT_SUFFIX, files_below
    from recloser.log.reader import LogReader
    from recloser.log.recovery import recover
    from recloser.log.seals import SealChain, is_seal
    from recloser.log.verification import verify

_FIXTURES = Path(__file__).parents[1] / "fixtures"
_SEED_BYTES = 20_000


def seed(corpus: Path) -> None:
    """Fill an empty corpus with the beginnings of the segments in ``fixtures``."""
    corpus.mkdir(parents=True, exist_ok=True)
    for segment in files_below(_FIXTURES):
        if segment.suffix != SEGMENT_SUFFIX:
            continue
        whole = segment.read_bytes()[:_SEED_BYTES].rpartition(b"\n")[0] + b"\n"
        (corpus / f"{segment.parent.name}.jsonl").write_bytes(whole)


def sealed(data: bytes) -> bytes:
    """The lines with recomputed seals, as far as they can be read."""
    chain, lines = SealChain(), []
    for line in data.splitlines(keepends=True):
        if is_seal(line):
            with contextlib.suppress(RecloserError):
                event = decode(line)
                lines.append(chain.seal(event.seq, event.at)[1])
        else:
            chain.add(line)
            lines.append(line)
    return b"".join(lines)


def read(data: bytes) -> None:
    """Read a log with every reader."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        (folder / "000000000001.jsonl").write_bytes(data)
        with contextlib.suppress(RecloserError):
            is_traffic(LogReader(folder))
        for way in (verify, replay, recover):
            with contextlib.suppress(RecloserError):
                way(folder)


def one_input(data: bytes) -> None:
    """Try one input of the fuzzer."""
    read(data)
    read(sealed(data))


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    seed(Path(sys.argv[1]))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
