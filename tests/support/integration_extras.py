"""The extra of ``pip install recloser[EXTRA]`` that each integration needs."""

from typing import Final

MODULES: Final = {
    "httpx": "httpx",
    "httpx2": "httpx2",
    "requests": "requests",
    "aiohttp": "aiohttp",
    "grpc": "grpc",
    "sqlalchemy": "sqlalchemy",
    "starlette": "starlette",
    "fastapi": "starlette",
    "prometheus": "prometheus",
    "otel": "opentelemetry",
    "structlog": "structlog",
    "tenacity": "tenacity",
    "stamina": "stamina",
}
"""The module of ``recloser.integrations`` for each extra that an integration needs."""
