"""Importers: call outcomes out of traces that something else recorded."""
