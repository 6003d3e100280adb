"""Compile the Cython modules beside their sources, as an editable install does.

    python tools/compile_in_place.py [MODULE ...]

Python imports a compiled module in place of its source, so compile again after each change of one, or
set ``RECLOSER_PURE=1`` to run the kernel from its source.
"""

import sys
import tempfile
from pathlib import Path

from compile_hook import MODULES, compile_into, put_beside, source_of

ROOT = Path(__file__).parent.parent


def main(modules: list[str]) -> None:
    """Compile the modules with the given names, or all."""
    for module in modules or MODULES:
        source = source_of(ROOT, module)
        with tempfile.TemporaryDirectory() as folder:
            compiled = compile_into(Path(folder), module, source)
            print(put_beside(compiled, source))


if __name__ == "__main__":
    main(sys.argv[1:])
