"""One file (or folder) a backend. Each module defines exactly one concrete `Backend`."""

if (
    __name__ != "weighbridge.backends"
):  # found in a clone by a module path that holds its root: it would be a second copy
    raise ImportError(f"{__name__} of Weighbridge is imported as weighbridge.backends")
