"""Locks that know which thread holds them, and objects that note who calls them under one.

Every lock that the package makes is replaced by an audited one. Objects of a user are watched: each
call of theirs, by ``==``, ``hash()``, ``str()`` or an attribute too, is noted, and is a violation
where the calling thread holds an audited lock.
"""

import importlib
import pkgutil
import threading
import traceback
from collections import Counter
from types import ModuleType

import recloser

_LOCK_TYPES = (type(threading.Lock()), type(threading.RLock()))
_MAKERS = ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier")


class Audit:
    """What was called, and what of it under an audited lock."""

    def __init__(self):
        self.calls = Counter()
        self.violations = []
        self.taken = 0
        self._held = Counter()

    def take(self):
        self.taken += 1
        self._held[threading.get_ident()] += 1

    def release(self, holder):
        self._held[holder] -= 1

    def is_holding(self):
        return self._held[threading.get_ident()] > 0

    def note(self, what):
        """Note that code of a user is called."""
        self.calls[what] += 1
        if self.is_holding():
            stack = "".join(traceback.format_stack(limit=12)[:-1])
            self.violations.append(f"{what} was called under a lock:\n{stack}")


class AuditedLock:
    """A lock that tells an audit who holds it."""

    def __init__(self, audit, made):
        self._audit = audit
        self._made = made
        self._holder = 0

    def acquire(self, blocking=True, timeout=-1):
        is_taken = self._made.acquire(blocking, timeout)
        if is_taken:
            self._holder = threading.get_ident()
            self._audit.take()
        return is_taken

    def release(self):
        self._audit.release(self._holder)
        self._made.release()

    def locked(self):
        return self._made.locked()

    def _is_owned(self):
        return self._made._is_owned()

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *_):
        self.release()


class _AuditedThreading(ModuleType):
    """The module ``threading``, whose locks are audited."""

    def __init__(self, audit):
        super().__init__("threading")
        self.Lock = lambda: AuditedLock(audit, threading.Lock())
        self.RLock = lambda: AuditedLock(audit, threading.RLock())

    def __getattr__(self, name):
        return getattr(threading, name)


def modules():
    """All modules of the package that can be imported here."""
    for found in pkgutil.walk_packages(recloser.__path__, "recloser."):
        if found.name.endswith(
            ("__main__", ".fleet")
        ):  # the latter only warns that it is deprecated
            continue
        try:
            yield importlib.import_module(found.name)
        except (ImportError, recloser.RecloserError):
            continue


def audit_locks(monkeypatch):
    """Have all locks that the package makes from now on audited, and those that its modules have."""
    audit = Audit()
    audited = _AuditedThreading(audit)
    for module in [recloser, *modules()]:
        for name, value in list(vars(module).items()):
            if value is threading:
                monkeypatch.setattr(module, name, audited)
            elif isinstance(value, _LOCK_TYPES):
                monkeypatch.setattr(module, name, AuditedLock(audit, value))
            else:
                # A lock that is made in another way would escape the audit.
                assert not any(value is getattr(threading, maker) for maker in _MAKERS), module
    return audit


_LEFT_OUT = {
    "__class__",
    "__class_getitem__",
    "__del__",
    "__dict__",
    "__doc__",
    "__init__",
    "__init_subclass__",
    "__module__",
    "__new__",
    "__slots__",
    "__subclasshook__",
    "__weakref__",
    "__getnewargs__",
    "__setstate__",
    "__getstate__",
    "__reduce__",
    "__reduce_ex__",
}


def watched(audit, base, what=None, **members):
    """A subclass of ``base`` all of whose methods, inherited ones too, are noted when called."""
    what = what or base.__name__
    methods = {name: getattr(base, name) for name in dir(base) if name not in _LEFT_OUT} | members
    namespace = {
        name: _noted(audit, f"{what}.{name}", method)
        for name, method in methods.items()
        if callable(method)
    }
    return type(base)(f"Watched{base.__name__}", (base,), namespace)


def _noted(audit, what, method):
    def call(self, *args, **kwargs):
        audit.note(what)
        return method(self, *args, **kwargs)

    return call


def watched_type(audit):
    """A metaclass whose classes note every question about them."""

    def note(name):
        return _noted(audit, f"type.{name}", getattr(type, name))

    names = ("__eq__", "__hash__", "__instancecheck__", "__subclasscheck__", "__repr__")
    return type("WatchedType", (type,), {name: note(name) for name in (*names, "__getattribute__")})
