"""Importers: logs of calls made from access logs, traces of spans and tables of other tools."""
