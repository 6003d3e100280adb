"""Shared breakers in tests: reading their state, and waiting until members agree."""

from redis_servers import wait_for

from recloser.core.state import dump
from recloser.sharing.stream_export import events_of


def state(breaker):
    return breaker.current_state().value


def has_tripped(breaker):
    """Return whether a breaker has opened; its cooldown may be over already on a busy machine."""
    return state(breaker) != "CLOSED"


def is_degraded(breaker):
    return breaker.snapshot().degraded


def log_of(breaker):
    return breaker._sequencer._log


def history(breaker):
    return list(events_of(log_of(breaker)._connection))


def synchronize(*breakers):
    for _ in range(2):
        for breaker in breakers:
            log_of(breaker).flush()
    assert len({str(dump(breaker._state)) for breaker in breakers}) == 1


def await_agreement(*breakers):
    """Wait until members are online and have equal states."""

    def are_synchronized():
        for _ in range(2):
            for breaker in breakers:
                log_of(breaker).flush()
        are_online = not any(map(is_degraded, breakers))
        return are_online and len({str(dump(breaker._state)) for breaker in breakers}) == 1

    wait_for(are_synchronized)


def restart_server(server, breakers):
    server.start()
    wait_for(lambda: not any(map(is_degraded, breakers)))
    synchronize(*breakers)
