"""Replays a log: folds it again, and compares its edges with the recorded ones."""
