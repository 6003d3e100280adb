"""Unwrapping: removal of what container runtimes and loggers put around each line."""
