"""Shapes that change: recompilation, padding, and the best set of lengths."""
