"""Mapping: from the fields of a record to a call."""
