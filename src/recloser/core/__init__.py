"""The rules of the breaker: pure functions without clock, randomness, input or output."""
