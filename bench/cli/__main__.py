"""`python -m bench.cli`: the command `weighbridge`."""

from bench.cli.main import script

if __name__ == "__main__":
    script()
