"""Puts ``tests/support`` on the import path; a tool imports this before a module of that folder."""

import sys
from pathlib import Path
from typing import Final

SUPPORT: Final = str(Path(__file__).parent.parent / "tests" / "support")

if SUPPORT not in sys.path:
    sys.path.append(SUPPORT)
