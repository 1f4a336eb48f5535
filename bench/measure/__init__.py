"""How a quantity is read. Knows no task, no backend and no worker."""
