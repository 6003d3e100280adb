"""Real servers on loopback that the code of a page calls: HTTP, gRPC and Redis."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_ANSWER: Final = json.dumps({"object": "list", "data": [], "price": 42}).encode()


@contextmanager
def started(names: Sequence[str]) -> Iterator[Mapping[str, str] | None]:
    """The addresses of the servers named, which run meanwhile; None if one can't be started."""
    with ExitStack() as running:
        addresses = {name: running.enter_context(_SERVERS[name]()) for name in names}
        found = {name: at for name, at in addresses.items() if at is not None}
        yield found if len(found) == len(addresses) else None


class _Answer(BaseHTTPRequestHandler):
    """Answers every request with one JSON object."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(_ANSWER)))
        self.end_headers()
        self.wfile.write(_ANSWER)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        pass


@contextmanager
def _http() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def _grpc() -> Iterator[str]:
    import grpc

    def answer(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        return b"42"

    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "shop.Quotes", {"One": grpc.unary_unary_rpc_method_handler(answer)}
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@contextmanager
def _redis() -> Iterator[str | None]:
    import support_path  # noqa: F401  # the next import needs it
    from redis_servers import RedisServer, servers_here

    if not servers_here():
        yield None
        return
    with RedisServer() as server:
        yield f"127.0.0.1:{server.port}"


_SERVERS: Final[Mapping[str, Callable[[], AbstractContextManager[str | None]]]] = {
    "http": _http,
    "grpc": _grpc,
    "redis": _redis,
}
