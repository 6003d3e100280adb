"""Simulation: what breakers would have done with calls that something else recorded."""
