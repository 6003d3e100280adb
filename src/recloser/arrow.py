"""Logs as Arrow tables and Parquet files, for Spark, dask, pandas and other engines."""

from recloser.cluster.edge_tables import edges_of
from recloser.log.parquet import write_parquet

__all__ = ["edges_of", "write_parquet"]
