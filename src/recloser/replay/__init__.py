"""Replay: a history out of a log, and the proof that it is the one that happened."""
