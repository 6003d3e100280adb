"""Values: times, durations, numbers and JSON paths, as text in traces has them."""
