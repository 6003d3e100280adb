"""Integrations with other libraries: one module per library, named after it.

Import the module that you need. Its library is not part of the base install: ``pip install
'recloser[httpx]'`` installs the one for ``recloser.integrations.httpx``. ``recloser docs integrations``
shows each integration, with code that the tests run.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from recloser.errors import MissingLibraryError


@contextmanager
def needs(library: str, *, extra: str) -> Iterator[None]:
    """Report a missing library in one line, around its import.

    Args:
        library: The name of the module that is imported.
        extra: The extra of recloser that installs it.

    Raises:
        MissingLibraryError: The library is not installed. A ModuleNotFoundError for another module,
            which the library itself needs, is raised as it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != library:
            raise
        raise MissingLibraryError(
            f"this integration needs {library}, which is not installed; "
            f"pip install 'recloser[{extra}]'",
            name=library,
        ) from None
