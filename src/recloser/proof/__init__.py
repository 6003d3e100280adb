"""Proof: one history computed in every way that must not make a difference."""
