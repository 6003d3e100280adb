"""Readers from lines to records: one per kind of text, configured by a format."""
