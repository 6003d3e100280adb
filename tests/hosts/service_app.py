"""The service of the README, for every kind of server; importing this module creates it.

Environment:
    HOST_FOLDER: The folder of the service. A file ``down`` in it causes an outage, ``calls`` receives
        a line per call, and ``log`` is the log.
    HOST_BREAKER: ``early`` protects the function on import, ``late`` looks up the breaker in each call.
    HOST_LOG: ``shared`` opens one log on import; ``own`` opens the first log that no other worker uses;
        a URL opens a stream on that Redis server.
"""

import json
import os
import time
from itertools import count
from pathlib import Path

from recloser import Breakers, CircuitBreakerConfig, CircuitOpenError, EventLog, LogError

FOLDER = Path(os.environ["HOST_FOLDER"])
IS_LATE = os.environ["HOST_BREAKER"] == "late"
KIND = os.environ["HOST_LOG"]
THRESHOLD = 8 if "://" in KIND else 3
CONFIG = CircuitBreakerConfig(failure_threshold=THRESHOLD, recovery_timeout_seconds=60)
FAILURES_EACH = 2


def open_log():
    if KIND == "shared":
        return EventLog(FOLDER / "log")
    if KIND == "own":
        return next(log for number in count(1) if (log := open_unless_in_use(number)) is not None)
    from recloser.sharing.redis_log import RedisLog

    return RedisLog(KIND, stream="bank")


def open_unless_in_use(number):
    try:
        return EventLog(FOLDER / f"log-{number}")
    except LogError:
        return None


log = open_log()
breakers = Breakers(CONFIG, log=log)


def ask_bank():
    time.sleep(0.002)
    if (FOLDER / "down").exists():
        raise ConnectionError("the bank is down")


protected = None if IS_LATE else breakers["bank"](ask_bank)


def pay():
    """Make a call, note its outcome and return it."""
    try:
        if protected is None:
            breakers["bank"].call(ask_bank)
        else:
            protected()
        outcome = "succeeded"
    except ConnectionError:
        outcome = "failed"
    except CircuitOpenError:
        outcome = "rejected"
    note(outcome)
    return outcome


failures_here = count()


def pay_twice_at_most():
    """Make a call, unless this worker has made two; return its outcome or ``none``."""
    return pay() if next(failures_here) < FAILURES_EACH else "none"


def note(outcome):
    line = json.dumps({"pid": os.getpid(), "outcome": outcome}) + "\n"
    with (FOLDER / "calls").open("a") as calls:
        calls.write(line)  # a single write in append mode, so lines of processes do not mix


def view():
    """Return the state of a shared breaker as this worker sees it."""
    snapshot = breakers["bank"].snapshot()
    stream_fold = log._stream.stream_fold
    edges = [] if stream_fold is None else list(stream_fold.edges)
    return {
        "pid": os.getpid(),
        "member": log._member,
        "state": snapshot.state.value,
        "failed": snapshot.totals.failed,
        "edges": [("{}-{}".format(*entry), edge.trigger.value) for entry, edge in edges],
    }


def answer(path):
    if path == "/view":
        return view()
    outcome = pay_twice_at_most() if path == "/twice" else pay()
    return {"pid": os.getpid(), "outcome": outcome}


def wsgi(environ, start_response):
    body = json.dumps(answer(environ["PATH_INFO"])).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Connection", "close")])
    return [body]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = json.dumps(answer(scope["path"])).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
