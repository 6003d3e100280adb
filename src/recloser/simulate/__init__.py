"""Simulation: the edges that a breaker takes over calls with known outcomes."""
