"""Simulation: which edges a breaker takes over calls whose times and outcomes are already known."""
