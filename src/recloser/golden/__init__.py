"""Golden files: the expected history of a trace, which tests check."""
