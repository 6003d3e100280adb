"""Audit a log: explain why breakers opened, report on a log, and watch a log being written."""
