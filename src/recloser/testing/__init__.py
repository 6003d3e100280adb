"""Helpers for tests of code that uses breakers.

``recloser.testing.strategies`` needs Hypothesis.

The pytest fixtures ``manual_clock``, ``memory_log`` and ``golden_replay`` are available as soon as
recloser is installed.
"""
