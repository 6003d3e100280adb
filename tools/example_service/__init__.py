"""A service that protects an external API: ``PYTHONPATH=tools python -m example_service --help``."""
