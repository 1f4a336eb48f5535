"""What makes the tables of docs/measuring.md and docs/compare.md: real programs, on the real clock, for hours."""
