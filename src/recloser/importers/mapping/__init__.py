"""Mapping: from the fields of a record to a call with a breaker, a start and a duration."""
