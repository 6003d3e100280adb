"""Breakers at work: decisions, permits, the fast path, and the order in which events are recorded."""
