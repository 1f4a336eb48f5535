"""`python -m weighbridge`: the command `weighbridge`."""

from weighbridge.bench.cli.entry import script

if __name__ == "__main__":
    script()
