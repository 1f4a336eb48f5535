"""Which cells, in which processes, in which order."""
