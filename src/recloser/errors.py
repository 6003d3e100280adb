"""Every error that recloser raises on purpose, under one base.

The command line maps each class to one exit status and one line; see ``recloser.cli``.
"""


class RecloserError(Exception):
    """The base of all errors raised on purpose by this package."""


class ConfigError(RecloserError, ValueError):
    """A setting has a value that it can't have; the message names the field and its range."""


class MisuseError(ConfigError, TypeError):
    """An object was used as it can't be; the message says what to do instead."""


class PermitError(RecloserError):
    """A permit was reported twice, or to a breaker that did not give it, or there is none."""


class FoldError(RecloserError):
    """An event can't be applied to the state that the events before it left."""


class LogError(RecloserError):
    """A log can't be used as asked."""


class NotALogError(LogError):
    """The file or folder does not hold a recloser log."""


class DamagedLogError(LogError):
    """The log's bytes are not those that were written; the message names the place."""


class FutureVersionError(LogError):
    """The log was written in a format, or under decision rules, newer than this library knows."""


class ImportTraceError(RecloserError):
    """A trace can't be imported as asked: a column, template or file is not what was named."""


class GoldenError(RecloserError):
    """A golden file can't be used as asked: it is missing, broken, or belongs to no trace."""


class MissingLibraryError(RecloserError, ImportError):
    """An integration was imported without the library that it is for."""


class RecloserWarning(UserWarning):
    """Something is used in a way that is probably not meant, and goes on in a way that is safe."""
