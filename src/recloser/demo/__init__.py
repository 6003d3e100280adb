"""The demo: a real service with an outage, and a calling process that is killed during it."""
