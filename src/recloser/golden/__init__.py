"""Golden files: the summary of a trace's history, kept beside it and compared by tests."""
