"""What recloser asks of the process that it runs in: forks, exits, wake-ups, locks, logging."""
