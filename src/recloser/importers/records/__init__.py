"""Readers: from lines to records. One reader per kind of text, configured by a format file."""
