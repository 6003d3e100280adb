"""Stands in for the ``cython`` module where the modules of this package run interpreted."""

from typing import Final

compiled: Final = False
