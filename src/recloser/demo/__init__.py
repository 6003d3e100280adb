"""The demo: a real service with an outage, and a process that calls it and is killed in it."""
