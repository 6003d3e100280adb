"""Asserts that a breaker and its model agree: on the state, on answers, and on every edge."""

from attrs import evolve
from model import Cause, exact


def assert_same_state(snapshot, model, at):
    """Assert that a snapshot, read at the time ``at`` in nanoseconds, equals the model."""
    seen, expected = _seen(snapshot), _expected(model, at)
    differing = {
        name: (seen[name], expected[name]) for name in seen if seen[name] != expected[name]
    }
    assert not differing, f"seen and expected of {model.name}: {differing}"


def assert_same_edges(edges, model, *, by_seq=True):
    """Assert that edges and their causes equal those of the model.

    With ``by_seq``, the ``seq`` of the evidence is compared too. A log that coalesces successes has
    other values of ``seq`` than the model.
    """
    seen = [_edge(edge, by_seq=by_seq) for edge in edges]
    expected = [
        (e.at, e.epoch, e.before, e.after, e.trigger, _cause(e.cause, by_seq=by_seq))
        for e in model.edges
    ]
    for one, other in zip(map(_without_unknown_seqs, seen, expected), expected, strict=False):
        assert one == other, f"edge of {model.name}, seen and expected: {one} {other}"
    assert len(seen) == len(expected), (seen, expected)


def assert_same_answer(decision, answer):
    seen = (
        decision.allowed,
        decision.reason.value,
        decision.state.value,
        decision.retry_after,
        _of_permit(decision.permit),
    )
    expected = (
        answer.allowed,
        answer.reason,
        answer.state,
        None if answer.retry_after is None else float(answer.retry_after),
        _of_permit(answer.permit),
    )
    assert seen == expected, f"answer, seen and expected: {seen} {expected}"


def _of_permit(permit):
    return None if permit is None else (permit.epoch, permit.probe)


def _seen(snapshot):
    counts = [
        None if window is None else (window.calls, window.failures, window.slow)
        for window in (snapshot.window, snapshot.probe_window)
    ]
    return {
        "state": snapshot.state.value,
        "mode": snapshot.mode,
        "epoch": snapshot.epoch,
        "forced": snapshot.forced,
        "openings in a row": snapshot.openings_in_a_row,
        "failures in a row": snapshot.consecutive_failures,
        "window": counts[0],
        "probes": snapshot.probes_in_flight,
        "probe successes": snapshot.probe_successes,
        "probe window": counts[1],
        "why": None if snapshot.why_open is None else snapshot.why_open.rule.value,
        "is opened": snapshot.opened_at is not None,
        "retry after": snapshot.retry_after,
        "totals": {
            name: getattr(snapshot.totals, name)
            for name in ("succeeded", "failed", "ignored", "rejected", "stale")
        },
    }


def _expected(model, at):
    retry_at = model.retry_at()
    has_window = model.config.window and model.state == "CLOSED"
    has_probe_window = model.config.half_open_window and model.state == "HALF_OPEN"
    return {
        "state": model.state,
        "mode": model.mode,
        "epoch": model.epoch,
        "forced": model.forced,
        "openings in a row": model.openings_in_a_row,
        "failures in a row": len(model.failures_in_a_row),
        "window": _counts(model.window) if has_window else None,
        "probes": len(model.probes),
        "probe successes": len(model.probe_successes),
        "probe window": _counts(model.probe_window) if has_probe_window else None,
        "why": None if model.why_open is None else model.why_open.rule,
        "is opened": model.state == "OPEN",
        "retry after": None if retry_at is None else max(0, retry_at - at) / 10**9,
        "totals": model.totals,
    }


def _counts(calls):
    return (len(calls), sum(c.failed for c in calls), sum(c.slow for c in calls))


def _edge(edge, *, by_seq):
    cause = edge.cause
    return (
        edge.at,
        edge.epoch,
        edge.from_state.value,
        edge.to_state.value,
        edge.trigger.value,
        _cause(
            Cause(
                cause.rule.value,
                cause.observed,
                cause.threshold,
                cause.seqs,
                cause.calls,
                None if cause.rate is None else exact(cause.rate),
                cause.span,
                cause.actor,
                cause.reason,
            ),
            by_seq=by_seq,
        ),
    )


def _without_unknown_seqs(seen, expected):
    """Return an edge without the ``seq`` of lost probes, which the model does not know."""
    if len(seen[-1].span) != len(expected[-1].span):
        return seen
    span = tuple(
        None if known is None else seq
        for seq, known in zip(seen[-1].span, expected[-1].span, strict=True)
    )
    return (*seen[:-1], evolve(seen[-1], span=span))


def _cause(cause, *, by_seq):
    return cause if by_seq else evolve(cause, seqs=(), span=())
