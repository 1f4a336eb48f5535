"""The weighing. Knows no framework, no task and no backend by name."""
