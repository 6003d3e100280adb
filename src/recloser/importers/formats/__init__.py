"""Formats: one TOML file per format, and the module that loads them."""
