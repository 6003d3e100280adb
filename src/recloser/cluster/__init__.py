"""Replay of many exported logs, on this machine or on a dask cluster, and for Arrow tables."""
