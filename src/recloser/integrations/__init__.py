"""Integrations with the libraries that services use: one module per library, named like it.

A module is loaded only when it is imported, and none of the libraries comes with the base install:
``pip install 'recloser[httpx]'`` brings the library for ``recloser.integrations.httpx``. The page
``recloser docs integrations`` shows each one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from recloser.errors import MissingLibraryError


@contextmanager
def needs(library: str, *, extra: str) -> Iterator[None]:
    """Import a library in this block, to be told in one line how to install it if it is missing.

    Raises:
        MissingLibraryError: There is no such library; a library that lacks one of its own is left
            to say so itself.
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
