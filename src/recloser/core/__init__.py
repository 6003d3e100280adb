"""The rules of the breaker, pure: no clock, no randomness, no input or output."""
