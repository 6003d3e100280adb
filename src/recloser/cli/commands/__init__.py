"""The commands, one module per command.

A module whose name continues that of a command, such as ``replay_proof`` or ``import_csv``, is one mode
or subcommand of it.
"""
