"""The weighing. Knows no framework, no task and no backend by name.

Measuring rules are cited by their numbers in docs/measuring-rules.md.
"""

if __name__ != "weighbridge.bench":  # found in a clone by a module path that holds its root: it would be a second copy
    raise ImportError(f"{__name__} of Weighbridge is imported as weighbridge.bench")
