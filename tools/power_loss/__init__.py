"""The states of a log that a power loss may leave; run by ``tools/power.py``.

``lives.py`` is one life of a service: a process that opens a log, writes to it, and is closed or
killed. ``trace.py`` runs lives under strace and reads the system calls that they made.
``file_system.py`` replays those calls, and separates data that was synced from data that was not.
``crashes.py`` draws states that a loss of power may leave, and ``judge.py`` opens each of them.
"""
