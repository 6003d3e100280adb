"""The machine and the package versions of a measurement."""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bench.adapters import Adapter
from bench.partner import compiled_modules

_OURS: Final = ("recloser", "attrs", "transitions", "msgspec", "zstandard", "eventsourcing")
_OPTIONAL: Final = ("numpy", "pyarrow")


def described() -> dict[str, str]:
    """Describe the machine: processor, system, Python and whether recloser is compiled."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "compiled": _compiled(),
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _compiled() -> str:
    names = [name.removeprefix("recloser.") for name in compiled_modules()]
    return f"compiled: {', '.join(names)}" if names else "nothing compiled"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return model[1] if model else platform.machine()


def versions(adapters: Sequence[Adapter]) -> dict[str, str]:
    """The versions of all packages that are measured or measured with."""
    of_peers = [adapter.distribution for adapter in adapters]
    found = {}
    for name in dict.fromkeys((*_OURS, *_OPTIONAL, *of_peers)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
