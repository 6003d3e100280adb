"""An HTTP service on the loopback interface that can be switched to fail."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Service:
    """A service that answers 200, or 503 while ``healthy`` is false.

    Attributes:
        healthy: Whether it answers 200.
        delay_seconds: Seconds that it takes to answer.
        requests: Number of requests that have reached it.
    """

    def __init__(self) -> None:
        self.healthy = True
        self.delay_seconds = 0.0
        self.requests = 0
        self._counting = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def url(self) -> str:
        """The URL of the service."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/quote"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name that http.server calls
                with service._counting:  # this class's own handler
                    service.requests += 1
                service._closing.wait(service.delay_seconds)
                body = b"42\n" if service.healthy else b"out of order\n"
                self.send_response(200 if service.healthy else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Log nothing: the demo prints what happens."""

        return Handler
