"""Decompression of zstd within bounded memory. Imports zstandard when first used."""

from typing import TYPE_CHECKING, Final

from recloser.core.limits import MAX_ZSTD_WINDOW

if TYPE_CHECKING:
    import zstandard

_TOO_MUCH: Final = "too much memory"


def decompressor() -> "zstandard.ZstdDecompressor":
    """Return a decompressor for frames that need at most ``MAX_ZSTD_WINDOW`` bytes."""
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW)


def failure_of(error: Exception) -> str:
    """Say why data could not be decompressed, and what to do."""
    if _TOO_MUCH in str(error):
        return (
            f"the compressed data asks for more memory than {MAX_ZSTD_WINDOW >> 20} MiB; "
            "decompress it first, with zstd -d --long=31"
        )
    return f"the compressed data is broken: {error}"
