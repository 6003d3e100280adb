"""Write the traces of an invented shop that the documentation imports.

``fixtures/shop-calls.csv`` holds the calls of ten minutes between three services. Payments fail for 90
seconds. ``fixtures/shop-access.log`` holds what the shop's ingress-nginx logged in two minutes. The
checkout service fails for 40 seconds. Both files come from a fixed seed, so that a second run writes
the same bytes.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

FIXTURES: Final = Path(__file__).parent.parent / "fixtures"
START: Final = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
SEED: Final = 20260504

_ROUTES: Final = {
    "default-web-8080": ("GET /", "GET /books", "GET /books/42"),
    "default-checkout-8080": ("POST /checkout", "GET /cart"),
}


def shop_calls() -> Iterator[str]:
    """Lines of a CSV file: a call per line, with its caller, target, start, duration and outcome."""
    chance = random.Random(SEED)
    yield "caller,target,start_unix_nano,duration_ms,outcome"
    start = int(START.timestamp()) * 10**9
    targets = {"payments": "orders", "stock": "orders", "search": "web"}
    for _ in range(1500):
        start += int(chance.uniform(100, 700)) * 10**6
        target = chance.choice(list(targets))
        second = start / 1e9 - START.timestamp()
        took = chance.uniform(8, 60)
        outcome = "ok" if chance.random() > 0.01 else "error"
        if target == "payments" and 200 <= second < 290 and chance.random() < 0.95:
            took, outcome = chance.choice([(1000.0, "timeout"), (3.0, "refused")])
        yield f"{targets[target]},{target},{start},{took:.3f},{outcome}"


def shop_access_log() -> Iterator[str]:
    """Lines of an access log in the format of ingress-nginx, sorted by the end of the request."""
    chance = random.Random(SEED)
    at = START
    for number in range(400):
        at += timedelta(milliseconds=chance.uniform(100, 500))
        upstream = chance.choice(list(_ROUTES))
        request = chance.choice(_ROUTES[upstream])
        took, status = chance.uniform(0.004, 0.120), 200
        if upstream == "default-checkout-8080" and 50 <= (at - START).total_seconds() < 90:
            took, status = chance.choice([(0.001, 502), (5.0, 504), (0.002, 502)])
        size = chance.randint(200, 9000)
        yield (
            f"192.0.2.{chance.randint(1, 20)} - - [{at:%d/%b/%Y:%H:%M:%S +0000}] "
            f'"{request} HTTP/1.1" {status} {size} "-" "Mozilla/5.0" {chance.randint(80, 900)} '
            f"{took:.3f} [{upstream}] [] 198.51.100.{chance.randint(5, 7)}:8080 {size} {took:.3f} "
            f"{status} {number:032x}"
        )


TRACES: Final = {"shop-calls.csv": shop_calls, "shop-access.log": shop_access_log}


def main() -> None:
    """Write the traces into the fixtures."""
    for name, lines in TRACES.items():
        (FIXTURES / name).write_text("".join(f"{line}\n" for line in lines()), encoding="utf-8")


if __name__ == "__main__":
    main()
