"""Whether a cluster decides as this process does: by the same recloser, under the same rules.

A worker with another one would come to other edges, and nothing would tell. So all are asked before
any work; and since workers may join at any time, each piece of work is refused by one that differs.
"""

from collections.abc import Mapping
from operator import itemgetter
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Final, TypeAlias

from recloser.errors import RecloserError

if TYPE_CHECKING:
    from distributed import Client

Versions: TypeAlias = Mapping[str, object]
"""What each of those asked for is."""

_RECLOSER: Final = "recloser.version:__version__"
_ASKED: Final = {
    _RECLOSER: "recloser",
    "recloser.core.events:RULES_VERSION": "rules version",
    "recloser.log.parquet:COLUMNS_VERSION": "columns version",
}
"""What has to be the same, by where it stands, and what it is called."""


def versions() -> Versions:
    """What this process decides by."""
    return {name: resolve_name(name) for name in _ASKED}


def check_cluster(client: "Client", scheduler: str) -> None:
    """Refuse a cluster that has no workers, or whose scheduler or workers differ from here.

    The scheduler too has to be alike: it loads what it hands on.

    Args:
        client: The connection to it.
        scheduler: The address of its scheduler.

    Raises:
        RecloserError: They do; the message names the address, and what to install there.
    """
    here = versions()
    for name in here:
        # Where there is no recloser, there is none of its functions to ask with either.
        _check("scheduler", name, here, {scheduler: _scheduler_answer(client, name)})
        answers: Mapping[str, object] = client.run(resolve_name, name, on_error="return")
        if not answers:
            raise RecloserError(f"{scheduler}: this scheduler has no workers; start some")
        _check("worker", name, here, answers)


def check_here(wanted: Versions) -> None:
    """Refuse, on a worker, a piece of work that asks for other versions than there are.

    Raises:
        RecloserError: It does; as ``check_cluster``.
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
    """Refuse members of a cluster that answer otherwise than is wanted."""
    differing = {address: there for address, there in answers.items() if there != wanted[name]}
    if not differing:
        return
    address, there = min(differing.items(), key=itemgetter(0))
    more = len(differing) - 1
    others = f"; {more:,} more {'differs' if more == 1 else 'differ'} too" if more else ""
    raise RecloserError(
        f"{address}: this {member} {_told(_ASKED.get(name, name), there, wanted[name])}; install "
        f"'recloser[dask]=={wanted[_RECLOSER]}' there, and start it again{others}"
    )


def _told(called: str, there: object, wanted: object) -> str:
    if not isinstance(there, Exception):
        return f"has {called} {there}, and here it is {wanted}"
    missing = there.name if isinstance(there, ModuleNotFoundError) else None
    if missing == "recloser":
        return "has no recloser"
    if missing is not None and not missing.startswith("recloser."):
        return f"lacks {missing}"
    return f"has another recloser than here: {(str(there).splitlines() or [repr(there)])[0]}"
