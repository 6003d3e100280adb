"""Live breakers: decisions, permits, the fast path, and the order in which events are recorded."""
