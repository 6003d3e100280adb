"""Importers: logs of calls from access logs, traces of spans and tables."""
