"""Breakers shared by several processes through a Redis or Valkey server."""

from recloser.sharing.redis_log import RedisLog

__all__ = ["RedisLog"]
