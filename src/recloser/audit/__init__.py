"""The audit: why a breaker opened, and what that rests on."""
