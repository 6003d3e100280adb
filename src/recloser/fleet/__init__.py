"""Past one machine: replay over many files."""
