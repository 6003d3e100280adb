"""Golden files: the expected history of a trace, kept beside it and checked by tests."""
