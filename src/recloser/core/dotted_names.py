"""Resolves dotted names in settings, such as ``requests.Timeout``, to objects.

To resolve a name, its module is imported and attributes are read; nothing is called. Any exception
from that becomes a ``ConfigError``, except for Ctrl-C and exceptions of signal handlers.
"""

import builtins
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any, Final, TypeAlias, cast

from recloser.core.validation import refuse_lazy_predicate, shown
from recloser.errors import ConfigError
from recloser.process.host_logging import is_of_signal_handler

Resolvable: TypeAlias = type[BaseException] | Callable[[BaseException], object]


def resolved_classifier(setting: str, given: Resolvable | str) -> Resolvable:
    """Resolve a classifier to an exception type or predicate.

    Any importable name of a type is accepted, such as ``requests.Timeout`` for the type
    ``requests.exceptions.Timeout``.

    Args:
        setting: Name of the setting, for error messages.
        given: The classifier; a text is a dotted name, and may omit ``builtins``.

    Raises:
        ConfigError: The name can't be imported, or names neither an exception type nor a predicate.
    """
    if not isinstance(given, str):
        return given
    found = _resolved(setting, given, _is_exception_type)
    if _is_exception_type(found) or (callable(found) and not issubclass(type(found), type)):
        refuse_lazy_predicate(setting, found)
        return cast("Resolvable", found)
    raise ConfigError(f"{setting} names {given!r}, which is no exception type but {shown(found)}")


def resolved_predicate(setting: str, name: str) -> Callable[[Any], object]:
    """Resolve a dotted name to a predicate.

    Args:
        setting: Name of the setting, for error messages.
        name: The dotted name; it may omit ``builtins``.

    Raises:
        ConfigError: The name can't be imported, or names an object that can't be called.
    """
    found = _resolved(setting, name, callable)
    if callable(found):
        refuse_lazy_predicate(setting, found)
        return cast("Callable[[Any], object]", found)
    raise ConfigError(f"{setting} names {name!r}, which is no predicate but {shown(found)}")


def _is_exception_type(value: object) -> bool:
    # A lazy object may raise when its class is read as an attribute, so only `type()` is used.
    return issubclass(type(value), type) and BaseException in _bases_of(value)


_bases_of: Final = type.__dict__["__mro__"].__get__
_MISSING: Final = object()


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
        where, inner = found, ".".join((first, *rest[: number + 1]))
        found = _attribute(setting, name, where, part)
        if found is _MISSING:
            is_module = issubclass(type(where), ModuleType)
            if not is_module or not _is_submodule(setting, name, inner):
                raise ConfigError(_not_found(setting, name, where, part, is_wanted))
            found = sys.modules[inner]
    return found


def _attribute(setting: str, name: str, where: object, part: str) -> object:
    """The attribute of a module or class, or ``_MISSING``; a module may run code to find it."""
    try:
        return getattr(where, part)
    except AttributeError:
        return _MISSING
    except BaseException as error:
        if _is_from_outside(error):
            raise
        raise ConfigError(
            f"{setting} names {name!r}, and {part} of {_name_of(where)} can't be read: {_error_text(error)}"
        ) from error


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
    except BaseException as error:
        if _is_from_outside(error):
            raise
        raise _broken(setting, name, module, error) from error


def _is_submodule(setting: str, name: str, module: str) -> bool:
    """Import a module, and return whether it exists."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise _broken(setting, name, module, error) from error
        return False
    except BaseException as error:
        if _is_from_outside(error):
            raise
        raise _broken(setting, name, module, error) from error
    return True


def _is_from_outside(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt) or is_of_signal_handler(error)


def _broken(setting: str, name: str, module: str, error: BaseException) -> ConfigError:
    return ConfigError(
        f"{setting} names {name!r}, and {module} can't be imported: {_error_text(error)}"
    )


def _error_text(error: BaseException) -> str:
    kind = type(error).__name__
    try:
        return f"{kind}: {error}"
    except Exception:  # noqa: BLE001  # the text comes from code of the module that is broken
        return kind


def _name_of(where: object) -> str:
    name = _attributes_of(where).get("__name__")
    if issubclass(type(where), type):
        name = type.__dict__["__name__"].__get__(where)
    return name if isinstance(name, str) else shown(where)


def _attributes_of(where: object) -> dict[str, object]:
    """The attributes of an object or class without inherited ones; empty if they can't be read."""
    try:
        return dict(vars(where))
    except Exception:  # noqa: BLE001  # a number has no attributes, and a lazy object may raise
        return {}


def _not_found(
    setting: str, name: str, where: object, part: str, is_wanted: Callable[[object], bool]
) -> str:
    lacks = (
        f"there is no builtin exception {part!r}"
        if where is builtins
        else f"there is no {part!r} in {_name_of(where)}"
    )
    known = [key for key, value in _attributes_of(where).items() if is_wanted(value)]
    hint = "; give the name of its module too, as in requests.Timeout" if where is builtins else ""
    return f"{setting} names {name!r}, and {lacks}{_did_you_mean(part, known) or hint}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=0.7)
    return f"; did you mean {' or '.join(close)}?" if close else ""
