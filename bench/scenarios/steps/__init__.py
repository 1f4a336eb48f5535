"""Steps that are timed in turns: `infer` and `generate`."""
