"""The errors that recloser raises on purpose, with one base class.

The command line prints each of them as one line and exits with a status of its class; see
``recloser.cli``.
"""


class RecloserError(Exception):
    """The base of all errors raised on purpose by this package."""


class ConfigError(RecloserError, ValueError):
    """A setting is out of its range; the message names the setting and the range."""


class MisuseError(ConfigError, TypeError):
    """An object is used in a way that can't work; the message says what to do instead."""


class PermitError(RecloserError):
    """A permit was reported twice, or is missing, or is that of another breaker."""


class FoldError(RecloserError):
    """An event can't have happened in the state that the events before it led to."""


class LogError(RecloserError):
    """A log can't be used as asked."""


class NotALogError(LogError):
    """A file or folder does not hold a recloser log."""


class DamagedLogError(LogError):
    """A log does not hold the bytes that were written; the message names the place."""


class FutureVersionError(LogError):
    """A log has a newer format, or newer decision rules, than this library knows."""


class ImportTraceError(RecloserError):
    """A trace can't be imported: a column, template or file is not what the options say."""


class GoldenError(RecloserError):
    """A golden file can't be used: it is missing, broken, or belongs to no trace."""


class MissingLibraryError(RecloserError, ImportError):
    """An integration was imported, and the library that it integrates is not installed."""


class RecloserWarning(UserWarning):
    """Something is probably a mistake; recloser goes on in a safe way."""
