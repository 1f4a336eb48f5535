"""Reports of what is no row: serving, shapes that change, sweeps."""
