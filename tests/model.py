"""An independent model of one breaker, written from the design and not from the code."""

CLOSED, OPEN, HALF_OPEN = "CLOSED", "OPEN", "HALF_OPEN"


class Model:
    def __init__(self, threshold, cooldown, successes, probes):
        self.threshold, self.cooldown = threshold, cooldown
        self.successes_needed, self.probes_at_once = successes, probes
        self.epoch = 0
        self.enter(CLOSED)

    def enter(self, state, at=None, *, forced=False):
        self.state, self.opened_at, self.forced = state, at, forced
        self.failures = self.successes = self.in_flight = 0

    def edge(self, state, at=None, *, forced=False):
        self.epoch += 1
        self.enter(state, at, forced=forced)

    def pass_time(self, at):
        if self.state == OPEN and not self.forced and at >= self.opened_at + self.cooldown:
            self.edge(HALF_OPEN)
            if self.successes_needed == 0:
                self.edge(CLOSED)

    def asks(self):
        if self.state == HALF_OPEN and self.in_flight < self.probes_at_once:
            self.in_flight += 1
            return True
        return self.state == CLOSED

    def ends(self, epoch, outcome, at):
        if epoch != self.epoch:
            return
        self.in_flight -= self.state == HALF_OPEN
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
        self.in_flight = 0
