"""Check that a cluster runs the same version of recloser as this process.

A worker with another version could compute other edges without anybody noticing. So the scheduler and
all workers are asked before any work. Workers may join at any time, so each job also carries the
versions, and a worker that differs refuses it.
"""

from collections.abc import Mapping
from operator import itemgetter
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Final, TypeAlias

from recloser.errors import RecloserError

if TYPE_CHECKING:
    from distributed import Client

Versions: TypeAlias = Mapping[str, object]
"""The values that are compared, by where they are defined."""

_RECLOSER: Final = "recloser.version:__version__"
_COMPARED: Final = {
    _RECLOSER: "recloser",
    "recloser.core.events:RULES_VERSION": "rules version",
    "recloser.log.parquet:COLUMNS_VERSION": "columns version",
}
"""What must be equal: where it is defined, and its name in messages."""


def versions() -> Versions:
    """Return the versions of this process."""
    return {name: resolve_name(name) for name in _COMPARED}


def check_cluster(client: "Client", scheduler: str) -> None:
    """Check that a cluster has workers, and the versions of this process.

    The scheduler must have them too, because it unpickles the jobs that it passes on.

    Args:
        client: The connection to the cluster.
        scheduler: The address of its scheduler.

    Raises:
        RecloserError: There are no workers, or a version differs; the message names the address and
            what to install there.
    """
    here = versions()
    for name in here:
        # ``resolve_name`` is in the standard library, so it works where recloser is not installed.
        _check("scheduler", name, here, {scheduler: _scheduler_answer(client, name)})
        answers: Mapping[str, object] = client.run(resolve_name, name, on_error="return")
        if not answers:
            raise RecloserError(f"{scheduler}: this scheduler has no workers; start some")
        _check("worker", name, here, answers)


def check_here(wanted: Versions) -> None:
    """Check, on a worker, that it has the versions that a job requires.

    Raises:
        RecloserError: A version differs; the message names the worker and what to install there.
    """
    own = versions()
    if own != wanted:
        from distributed import get_worker

        address: str = get_worker().address
        for name in wanted:
            _check("worker", name, wanted, {address: own.get(name)})


def _scheduler_answer(client: "Client", name: str) -> object:
    try:
        return client.run_on_scheduler(resolve_name, name)
    except (ImportError, AttributeError) as error:
        return error


def _check(member: str, name: str, wanted: Versions, answers: Mapping[str, object]) -> None:
    differing = {address: there for address, there in answers.items() if there != wanted[name]}
    if not differing:
        return
    address, there = min(differing.items(), key=itemgetter(0))
    more = len(differing) - 1
    others = f"; {more:,} more {'differs' if more == 1 else 'differ'} too" if more else ""
    raise RecloserError(
        f"{address}: this {member} {_difference(_COMPARED.get(name, name), there, wanted[name])}; install "
        f"'recloser[dask]=={wanted[_RECLOSER]}' there, and start it again{others}"
    )


def _difference(label: str, there: object, wanted: object) -> str:
    if not isinstance(there, Exception):
        return f"has {label} {there}, and here it is {wanted}"
    missing = there.name if isinstance(there, ModuleNotFoundError) else None
    if missing == "recloser":
        return "has no recloser"
    if missing is not None and not missing.startswith("recloser."):
        return f"lacks {missing}"
    return f"has another recloser than here: {(str(there).splitlines() or [repr(there)])[0]}"
