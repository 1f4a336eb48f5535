"""One file (or folder) a backend. Each module defines exactly one concrete `Backend`."""
