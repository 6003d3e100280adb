"""The independent model as an oracle: the state that a kernel must have after each event."""

import attrs
from attrs import define, field
from kernel_driver import COMMANDS
from kernel_scripts import NAME, Script
from model import CLOSED, HALF_OPEN, OPEN, SECOND, Model, Permit

from recloser.core import kernel
from recloser.core.events import CircuitBreakerState, Trigger

OUTCOMES = {
    kernel.SUCCEEDED: "succeeded",
    kernel.FAILED: "failed",
    kernel.IGNORED: "ignored",
}


@define
class Modelled(Script):
    """Runs scripts on the model, and adds the ``seq`` values that the model does not know."""

    model: object = field(init=False)

    def __attrs_post_init__(self):
        self.model = Model(NAME, self.config)

    is_closed = property(lambda self: self.model.state == CLOSED)
    is_half_open = property(lambda self: self.model.state == HALF_OPEN)
    is_disabled = property(lambda self: self.model.mode == "disabled")
    epoch = property(lambda self: self.model.epoch)
    deadline = property(lambda self: min(self.model.deadlines(), default=None))
    probes = property(lambda self: list(self.model.probes))
    probes_admitted = property(lambda self: self.model.probes_admitted)

    def apply_row(self, row):
        self.pass_time(row)
        model = self.model
        is_current = row.epoch == model.epoch
        if row.kind == kernel.REJECTED:
            model.totals["rejected"] += row.count
        elif row.kind == kernel.ADMITTED:
            is_next = row.probe == model.probes_admitted + 1
            if not (is_current and is_next and self.is_half_open and model.may_admit_probe()):
                return False
            model.ask(row.at)
        elif row.epoch > model.epoch:
            return False
        else:
            permit = Permit(row.epoch, 0, row.probe)
            model.report(permit, OUTCOMES[row.kind], row.at, row.took, row.seq)
        return True

    def apply_rare(self, item):
        self.pass_time(item)
        if item.method == "command":
            self.model.command(item.arguments[0], item.at)
        elif item.method == "configure":
            if item.arguments[0] == self.model.config:
                # The model ignores equal settings, so make them differ in one that decides nothing here.
                self.model.config = attrs.evolve(self.model.config, closed_early="failed")
            self.model.configure(item.arguments[0], item.at)
        elif item.method == "set_mode":
            self.model.set_mode(item.arguments[0], item.at)
        elif item.method == "begin_session":
            self.model.restart(item.at)

    def pass_time(self, item):
        """Pass the time, and use the ``seq`` of this item in the edges and probes that time ended."""
        self.model.pass_time(item.at)
        calls = self.model.probe_window
        self.model.probe_window = [
            call if call.seq is not None else attrs.evolve(call, seq=item.seq) for call in calls
        ]
        self.model.edges = [with_seq(edge, item.seq) for edge in self.model.edges]

    def seen(self):
        model = self.model
        is_closed, is_open, is_half_open = (
            model.state == state for state in (CLOSED, OPEN, HALF_OPEN)
        )
        is_run_kept = model.config.failure_threshold is not None
        run = [call.seq for call in model.failures_in_a_row]
        window, probe_window = model.config.window, model.config.half_open_window
        is_timed = hasattr(window, "seconds")
        in_window = buckets(model.window) if is_timed else entries(model.window)
        return {
            "state": CircuitBreakerState(model.state),
            "epoch": model.epoch,
            "forced": model.forced,
            "opened_at": model.since if is_open else None,
            "half_open_at": model.since if is_half_open else None,
            "deadline": self.deadline,
            "openings": (model.openings, model.openings_in_a_row),
            "consecutive_failures": len(run),
            "failure_seqs": run if is_run_kept else [],
            "window": held(in_window, model.window) if is_closed and window else None,
            "probes_admitted": model.probes_admitted,
            "probes": [number for pair in model.probes.items() for number in pair],
            "probe_seqs": [call.seq for call in model.probe_successes],
            "probe_window": held(entries(model.probe_window), model.probe_window)
            if is_half_open and probe_window
            else None,
            "counters": list(model.totals.values()),
            "answer": self.answer(),
            "edges": [edge_as_kernel_shows_it(edge) for edge in model.edges],
        }

    def answer(self):
        model = self.model
        if model.mode == "disabled":
            return kernel.DISABLED
        if model.state == CLOSED:
            return kernel.ALLOWED
        if model.state == OPEN:
            return kernel.FORCED if model.forced else kernel.COOLING
        return kernel.PROBE if model.may_admit_probe() else kernel.EXHAUSTED


def with_seq(edge, seq):
    span = tuple(seq if end is None else end for end in edge.cause.span)
    return attrs.evolve(edge, cause=attrs.evolve(edge.cause, span=span))


def held(data, calls):
    return data, len(calls), sum(call.failed for call in calls), sum(call.slow for call in calls)


def entries(calls):
    """Return the code of each call; calls of one event are one entry with their count."""
    data = []
    for call in calls:
        code = call.seq << 2 | call.failed << 1 | call.slow
        if data and data[-1][0] == code:
            data[-1] = code, data[-1][1] + 1
        else:
            data.append((code, 1))
    return [entry if entry[1] > 1 else entry[0] for entry in data]


def buckets(calls):
    """Return for each second its first and last ``seq``, and how many calls failed or were slow."""
    seconds = sorted({call.at // SECOND for call in calls})
    by_second = [[call for call in calls if call.at // SECOND == second] for second in seconds]
    return [
        (second, those[0].seq, those[-1].seq, *held(None, those)[1:])
        for second, those in zip(seconds, by_second, strict=True)
    ]


def edge_as_kernel_shows_it(edge):
    cause, trigger = edge.cause, COMMANDS.get(edge.trigger) or Trigger(edge.trigger)
    if cause.rule in {"consecutive_failures", "probe_successes"}:
        return edge.at, trigger, (cause.rule, cause.observed, cause.seqs)
    if cause.rule in {"cooldown", "probe_timeout", "half_open_timeout", "probe_failed"}:
        return edge.at, trigger, (cause.rule, cause.observed)
    if cause.rule == "command":
        return edge.at, trigger, (cause.rule,)
    return edge.at, trigger, (cause.rule, cause.observed, cause.calls, *cause.span)
