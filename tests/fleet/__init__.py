"""Several processes, and several servers of them, that share their state."""
