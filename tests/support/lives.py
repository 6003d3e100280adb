"""Long recordings of live breakers under random traffic."""

import random

from recloser import CircuitBreaker, ManualClock, MemoryLog

MS = 10**6
SECOND = 10**9


class Life:
    """Live breakers under traffic with random failures, pace and slowness, drawn from a seed."""

    def __init__(self, seed, configs, log=None, clock=None):
        self.random = random.Random(seed)
        self.clock = ManualClock() if clock is None else clock
        self.log = MemoryLog(clock=self.clock, host="") if log is None else log
        self.breakers = [
            CircuitBreaker(f"b{number}", config, log=self.log)
            for number, config in enumerate(configs)
        ]
        self.in_flight = []
        self.pace_ns = self.random.choice([MS, 100 * MS, SECOND, 3 * SECOND])
        self.slow = self.random.choice([0, 0.1, 0.4])
        self.failing = 0.0

    def live(self, steps):
        for _ in range(steps):
            if self.random.random() < 0.01:
                self.failing = self.random.choice([0, 0.02, 0.1, 0.3, 0.9])
            self._step(self.random.random())
        return list(self.log)

    def _step(self, chance):
        if chance < 0.9:
            self._ask(self.random.choice(self.breakers))
        elif chance > 0.9995:
            self.random.choice(self.breakers).reset()
        elif chance > 0.999:
            self.random.choice(self.breakers).force_open()
        self.clock.advance(ns=self.random.randrange(5 * SECOND if chance > 0.98 else self.pace_ns))

    def _ask(self, breaker):
        permit = breaker.before_call().permit
        if permit is None:
            return
        # Some calls stay in flight, so that they end in a later epoch.
        self.in_flight.append((breaker, permit))
        if len(self.in_flight) > 4 or self.random.random() < 0.8:
            index = self.random.choice([-1, -1, -1, 0])
            self._end(*self.in_flight.pop(index))

    def _end(self, breaker, permit):
        took = 2 * SECOND if self.random.random() < self.slow else self.random.randrange(10 * MS)
        chance = self.random.random()
        if chance < self.failing:
            breaker.after_failure(permit, "TimeoutError", took_ns=took)
        elif chance > 0.97:
            breaker.after_ignored(permit, took_ns=took)
        else:
            breaker.after_success(permit, took_ns=took)
