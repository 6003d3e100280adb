"""Proof: compute one history in many ways that must all give the same edges."""
