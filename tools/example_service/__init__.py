"""An example service that protects an external API with a breaker.

Run it with ``PYTHONPATH=tools python -m example_service --help``.
"""
