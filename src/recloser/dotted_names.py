"""Dotted names in settings, such as ``requests.Timeout``, and the objects that they stand for.

Resolving a name imports its module and reads attributes; nothing else of it is run.
"""

import builtins
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any, TypeAlias, cast

from recloser.errors import ConfigError

Resolvable: TypeAlias = type[BaseException] | Callable[[BaseException], object]


def resolved_classifier(setting: str, given: Resolvable | str) -> Resolvable:
    """The exception type or predicate that a classifier stands for.

    Any name of a type will do: ``requests.Timeout`` is ``requests.exceptions.Timeout``.

    Args:
        setting: The setting that it was given in.
        given: The classifier; a text is a dotted name, and may omit ``builtins``.

    Raises:
        ConfigError: The name can't be imported, or names neither an exception type nor a predicate.
    """
    if not isinstance(given, str):
        return given
    found = _resolved(setting, given, _is_exception_type)
    if _is_exception_type(found) or (callable(found) and not isinstance(found, type)):
        return cast("Resolvable", found)
    raise ConfigError(f"{setting} names {given!r}, which is no exception type but {found!r}")


def resolved_predicate(setting: str, name: str) -> Callable[[Any], object]:
    """The predicate that a dotted name stands for.

    Raises:
        ConfigError: The name can't be imported, or names nothing that can be called.
    """
    found = _resolved(setting, name, callable)
    if callable(found):
        return cast("Callable[[Any], object]", found)
    raise ConfigError(f"{setting} names {name!r}, which is no predicate but {found!r}")


def _is_exception_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _resolved(setting: str, name: str, is_wanted: Callable[[object], bool]) -> object:
    first, *rest = name.split(".")
    if not all(part.isidentifier() for part in (first, *rest)):
        raise ConfigError(
            f"{setting} names {name!r}, which is not the dotted name of anything in a module"
        )
    if not rest:
        first, rest = "builtins", [first]
    found: object = _imported(setting, name, first)
    for number, part in enumerate(rest):
        if not hasattr(found, part):
            inner = ".".join((first, *rest[: number + 1]))
            if not isinstance(found, ModuleType) or not _is_submodule(setting, name, inner):
                raise ConfigError(_not_found(setting, name, found, part, is_wanted))
        found = getattr(found, part)
    return found


def _imported(setting: str, name: str, module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise _broken(setting, name, module, error) from error
        raise ConfigError(
            f"{setting} names {name!r}, and {module} is not installed"
            + _did_you_mean(module, (known for known in sys.modules if "." not in known))
        ) from None
    except Exception as error:
        raise _broken(setting, name, module, error) from error


def _is_submodule(setting: str, name: str, module: str) -> bool:
    """Whether there is a module of this name, which is then imported."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise _broken(setting, name, module, error) from error
        return False
    except Exception as error:
        raise _broken(setting, name, module, error) from error
    return True


def _broken(setting: str, name: str, module: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{setting} names {name!r}, and {module} can't be imported: {type(error).__name__}: {error}"
    )


def _not_found(
    setting: str, name: str, where: object, part: str, is_wanted: Callable[[object], bool]
) -> str:
    place = getattr(where, "__name__", repr(where))
    lacks = (
        f"there is no builtin exception {part!r}"
        if where is builtins
        else f"there is no {part!r} in {place}"
    )
    known = {key: value for key, value in vars(where).items() if is_wanted(value)}
    hint = "; give the name of its module too, as in requests.Timeout" if where is builtins else ""
    return f"{setting} names {name!r}, and {lacks}{_did_you_mean(part, known) or hint}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=0.7)
    return f"; did you mean {' or '.join(close)}?" if close else ""
