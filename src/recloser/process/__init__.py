"""Parts that deal with the host process: forks, exits, bells, locks and logging."""
