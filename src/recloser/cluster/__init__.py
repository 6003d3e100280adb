"""Replay many exported logs, on this machine or on a dask cluster.

A *dataset* is a set of Parquet files written by ``recloser export``, one log per file. Work on it is
split into jobs. A job reads some row groups of one file and folds the breakers whose first row is in
them; no machine reads a whole dataset. The results are those of a replay of each log by itself.

``many_logs`` replays a dataset. ``evaluate`` tries other settings on it, and ``dataset_tuning`` searches
a grid of settings. ``merging`` computes what one shared breaker would have done with the calls of
several hosts. ``executor`` runs jobs on a cluster.
``edge_tables`` computes the edges of one breaker from one Arrow table, for Spark or Ray.
"""
