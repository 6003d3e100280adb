"""Finds code of a user that runs while the calling thread holds a lock of the package.

Every lock that the package creates is replaced by an audited lock, which records the thread that
holds it. Objects of a user are watched: each call of a method is noted, including calls by ``==``,
``hash()``, ``str()`` and attribute access. A call is a violation if the calling thread holds an
audited lock at that moment.
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
    """Record of the calls of user code, and of the locks that each thread holds.

    Attributes:
        calls: How often each watched method was called.
        violations: The calls made under an audited lock, each with its stack.
        acquisitions: How often an audited lock was acquired.
    """

    def __init__(self):
        self.calls = Counter()
        self.violations = []
        self.acquisitions = 0
        self._held = Counter()

    def note_acquired(self):
        self.acquisitions += 1
        self._held[threading.get_ident()] += 1

    def note_released(self, holder):
        self._held[holder] -= 1

    def is_holding(self):
        return self._held[threading.get_ident()] > 0

    def note(self, what):
        """Note that the user code ``what`` is called by this thread."""
        self.calls[what] += 1
        if self.is_holding():
            stack = "".join(traceback.format_stack(limit=12)[:-1])
            self.violations.append(f"{what} was called under a lock:\n{stack}")


class AuditedLock:
    """A lock that notes in an audit which thread holds it."""

    def __init__(self, audit, lock):
        self._audit = audit
        self._lock = lock
        self._holder = 0

    def acquire(self, blocking=True, timeout=-1):
        is_acquired = self._lock.acquire(blocking, timeout)
        if is_acquired:
            self._holder = threading.get_ident()
            self._audit.note_acquired()
        return is_acquired

    def release(self):
        self._audit.note_released(self._holder)
        self._lock.release()

    def locked(self):
        return self._lock.locked()

    def _is_owned(self):
        return self._lock._is_owned()

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
    """Import and return all modules of the package whose dependencies are installed."""
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
    """Replace the locks of the package's modules, and all that it creates later, by audited ones."""
    audit = Audit()
    audited = _AuditedThreading(audit)
    for module in [recloser, *modules()]:
        for name, value in list(vars(module).items()):
            if value is threading:
                monkeypatch.setattr(module, name, audited)
            elif isinstance(value, _LOCK_TYPES):
                monkeypatch.setattr(module, name, AuditedLock(audit, value))
            else:
                # The audit would miss a lock created by a function that was imported by its own name.
                assert not any(value is getattr(threading, maker) for maker in _MAKERS), module
    return audit


_NOT_WATCHED = {
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
    """Create a subclass of ``base`` whose methods note every call, including inherited methods."""
    what = what or base.__name__
    methods = {
        name: getattr(base, name) for name in dir(base) if name not in _NOT_WATCHED
    } | members
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
    """Create a metaclass whose classes note comparisons, ``isinstance`` and attribute access."""

    def note(name):
        return _noted(audit, f"type.{name}", getattr(type, name))

    names = ("__eq__", "__hash__", "__instancecheck__", "__subclasscheck__", "__repr__")
    return type("WatchedType", (type,), {name: note(name) for name in (*names, "__getattribute__")})
