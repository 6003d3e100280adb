"""The demo: a service with an outage, and a caller that is killed during it."""
