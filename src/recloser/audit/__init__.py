"""Audit a log: explain why breakers opened, report on it, and watch it."""
