"""What-if: evaluate other settings on recorded calls, and search for good ones."""
