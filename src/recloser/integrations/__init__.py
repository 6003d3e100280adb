"""Recloser with the libraries that a service is built on: one module for each, named like it.

None of them is loaded unless it is imported, and none of the libraries comes with the base install:
``pip install recloser[httpx]`` brings the one that ``recloser.integrations.httpx`` is for. Each is
shown, with code that the tests run, in the ``README.md`` beside this file.
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
