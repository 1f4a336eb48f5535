"""`python -m bench.cli`: the command `weighbridge`."""

from bench.cli.entry import script

if __name__ == "__main__":
    script()
