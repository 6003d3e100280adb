"""Settings of other circuit breaker libraries, converted to recloser's."""
