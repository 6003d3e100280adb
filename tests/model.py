"""An independent model of one breaker, written from the design and not from the code."""

CLOSED, OPEN, HALF_OPEN = "CLOSED", "OPEN", "HALF_OPEN"


PROBE_TIMEOUT = 60 * 10**9


class Model:
    def __init__(self, threshold, cooldown, successes, probes):
        self.threshold, self.cooldown = threshold, cooldown
        self.successes_needed, self.probes_at_once = successes, probes
        self.epoch = 0
        self.enter(CLOSED)

    def enter(self, state, at=None, *, forced=False):
        self.state, self.opened_at, self.forced = state, at, forced
        self.failures = self.successes = 0
        self.probes = []

    def edge(self, state, at=None, *, forced=False):
        self.epoch += 1
        self.enter(state, at, forced=forced)

    def pass_time(self, at):
        if self.state == OPEN and not self.forced and at >= self.opened_at + self.cooldown:
            self.edge(HALF_OPEN)
            if self.successes_needed == 0:
                self.edge(CLOSED)
        elif self.probes and at >= min(self.probes) + PROBE_TIMEOUT:
            self.edge(OPEN, at)

    def deadline(self):
        if self.probes:
            return min(self.probes) + PROBE_TIMEOUT
        return self.opened_at + self.cooldown if self.state == OPEN and not self.forced else 0

    def asks(self, at):
        if self.state == HALF_OPEN and len(self.probes) < self.probes_at_once:
            self.probes.append(at)
            return True
        return self.state == CLOSED

    def ends(self, epoch, asked_at, outcome, at):
        if epoch != self.epoch:
            return
        if self.state == HALF_OPEN:
            self.probes.remove(asked_at)
        if outcome == "failure":
            self.failures += 1
            if self.state == HALF_OPEN or self.failures == self.threshold:
                self.edge(OPEN, at)
        elif outcome == "success":
            self.failures = 0
            self.successes += 1
            if self.state == HALF_OPEN and self.successes == self.successes_needed:
                self.edge(CLOSED)

    def restart(self):
        self.probes = []
