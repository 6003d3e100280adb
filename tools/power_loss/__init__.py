"""What a loss of power may leave of a log; run by ``tools/power.py``.

``lives.py`` is one life of a service: a process that opens a log, writes to it, and is closed or
killed. ``trace.py`` runs lives under strace and reads the system calls that they made.
``file_system.py`` replays those calls, and keeps apart what the disk was made sure of.
``crashes.py`` draws states that a loss of power may leave, and ``judge.py`` opens each of them.
"""
