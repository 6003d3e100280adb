"""Every sequence of a few steps, on all that decides about a breaker: see ``tests/support/every_sequence.py``.

    python tools/every_sequence.py --depth 7 [--config NAME ...]

Prints for each small configuration how many sequences were covered, on how many distinct states, and
the seconds. The exit status is 1 where two did not agree; the sequence is printed then.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
walks = import_module("every_sequence")  # the one of the tests, which come first now


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--depth", type=int, default=5, help="the most steps of a sequence")
    parser.add_argument("--config", action="append", choices=walks.CASES, help="only this one")
    options = parser.parse_args()
    print(
        f"{len(walks.STEPS)} steps: {', '.join(walks.STEPS)}; sequences of 1 to {options.depth} of them"
    )
    print(f"{'configuration':24}{'sequences':>14}{'states':>10}{'seconds':>10}")
    status = 0
    for name in options.config or walks.CASES:
        try:
            found = walks.walk(name, options.depth)
        except walks.DisagreementError as error:
            print(f"{name:24}disagree after {error}")
            status = 1
            continue
        print(
            f"{name:24}{found.sequences:14,}{found.distinct:10,}{found.seconds:10.1f}", flush=True
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
