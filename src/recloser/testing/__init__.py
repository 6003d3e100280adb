"""For tests of what is built on breakers; ``recloser.testing.strategies`` needs Hypothesis.

The fixtures ``manual_clock``, ``memory_log`` and ``golden_replay`` are pytest's as soon as recloser
is installed.
"""
