"""Rounds of a service that is attacked at random; run by ``tools/host_faults.py``.

One round is one process, with the children that it forks: ``service.py`` makes a log and breakers as
a ``Plan`` says, calls them from some threads while ``attacks.py`` interrupts them, and reports what
it knows of each call. ``judge.py`` compares the reports with the logs, in the process of the tool.
"""
