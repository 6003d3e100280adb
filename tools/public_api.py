"""List the public names with their parameters, as static analysis finds them.

``python tools/public_api.py`` prints the list. ``--write`` puts it into ``tests/public_api.txt``, which a
test compares with the source: a name or parameter that disappears breaks the users of recloser.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import griffe

ROOT: Final = Path(__file__).parents[1]
LISTED: Final = ROOT / "tests" / "public_api.txt"
MODULES: Final = ("recloser", "recloser.arrow", "recloser.redis")
"""Modules whose public names are those in ``__all__``."""
ROOMS: Final = ("recloser.compat", "recloser.integrations", "recloser.testing")
"""Packages whose modules are all public."""
_INTERNAL: Final = frozenset(
    f"recloser.integrations.{name}"
    for name in ("callers_faults", "counts", "given_breakers", "http", "transport")
)
_OF_LOGS: Final = (
    "__enter__",
    "__init__",
    "__iter__",
    "__len__",
    "close",
    "flush",
    "health",
    "path",
)
"""What users call on a log; its other methods are for breakers."""
_LOGS: Final = ("EventLog", "MemoryLog", "RedisLog")
_OF_WRAPPERS: Final = ("admit", "classify_and_report", "permit_of", "report_early_close")
"""Methods of a breaker that only the wrappers of calls use."""
_OPERATORS: Final = ("__call__", "__enter__", "__getitem__", "__iter__", "__len__")


def public_names() -> list[str]:
    """Each public name as one line, sorted: functions and methods with their parameters."""
    package = griffe.load("recloser", search_paths=[ROOT / "src"], resolve_aliases=True)
    assert isinstance(package, griffe.Module)
    names: set[str] = set()
    for name in MODULES:
        module = _module(package, name)
        for member in module.exports or ():
            names.update(_lines(f"{name}.{member}", module[str(member)]))
    for name in ROOMS:
        room = _module(package, name)
        modules = {name: room, **{f"{name}.{key}": found for key, found in room.modules.items()}}
        for path, module in modules.items():
            if path not in _INTERNAL:
                for member, found in module.members.items():
                    if _is_offered(module, member, found):
                        names.update(_lines(f"{path}.{member}", found))
    return sorted(names)


def _module(package: griffe.Module, name: str) -> griffe.Module:
    _, _, path = name.partition(".")
    found = package[path] if path else package
    assert isinstance(found, griffe.Module)
    return found


def _is_offered(module: griffe.Module, name: str, found: griffe.Object | griffe.Alias) -> bool:
    if module.exports is not None:
        return name in module.exports
    return found.is_public and not found.is_alias and not found.is_module


def _lines(path: str, found: griffe.Object | griffe.Alias) -> Iterator[str]:
    target = found.final_target if isinstance(found, griffe.Alias) else found
    if isinstance(target, griffe.Function):
        yield f"{path}({', '.join(_parameters(target))})"
    elif isinstance(target, griffe.Class):
        yield path
        for name, member in target.all_members.items():
            if name in _OF_WRAPPERS or (target.name in _LOGS and name not in _OF_LOGS):
                continue
            is_called = name in _OPERATORS or (name == "__init__" and not member.is_alias)
            if is_called or not name.startswith("_"):
                yield from _lines(f"{path}.{name}", member)
    else:
        yield path


def _parameters(function: griffe.Function) -> Iterator[str]:
    has_star = False
    for parameter in function.parameters:
        if parameter.name == "self":
            continue
        kind = parameter.kind
        if kind is griffe.ParameterKind.var_positional:
            has_star = True
            yield f"*{parameter.name}"
        elif kind is griffe.ParameterKind.var_keyword:
            yield f"**{parameter.name}"
        else:
            if kind is griffe.ParameterKind.keyword_only and not has_star:
                has_star = True
                yield "*"
            yield parameter.name if parameter.required else f"{parameter.name}=…"


def main() -> None:
    """Print the list or write it."""
    parser = argparse.ArgumentParser(description="List the public names.")
    parser.add_argument("--write", action="store_true", help="write tests/public_api.txt")
    text = "\n".join(public_names()) + "\n"
    if parser.parse_args().write:
        LISTED.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
