"""`python -m tests.hostile`: attacks this program and prints what was tried and what did not hold.

Exit code 1 where anything did not.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys

import tests.hostile as room
from tests.hostile.attack import ATTACKS, attempt, launch, table
from weighbridge.bench.run.jobs import PATIENCE


def main() -> int:
    """Does what the arguments say."""
    for module in pkgutil.iter_modules(room.__path__):
        if not module.name.startswith(("__", "test_")):
            importlib.import_module(f"{room.__name__}.{module.name}")
    asked = _arguments()
    os.environ.setdefault(PATIENCE, "0")  # its runs are each other's neighbours, and none waits for another to leave
    chosen = [ATTACKS[name] for name in asked.names or sorted(ATTACKS)]
    if asked.only is not None:
        failed = [told for each in chosen for told in attempt(each.name, asked.seed, asked.only).failed]
        sys.stdout.write("\n".join([*failed, f"{len(failed)} failed", ""]))
        return int(bool(failed))
    counts = [asked.count or (each.long if asked.long else each.short) for each in chosen]
    results = [launch(each, asked.seed, count, asked.at_once) for each, count in zip(chosen, counts, strict=True)]
    for each in results:
        sys.stdout.writelines(f"{told}\n" for told in each.failed)
    sys.stdout.write(table(results) + "\n")
    return int(any(each.failed for each in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*sorted(ATTACKS), []], metavar="ATTACK", help=", ".join(sorted(ATTACKS))
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--long", action="store_true", help="as many as docs/reliability.md tells of; hours")
    parser.add_argument("--count", type=int, default=0, help="so many of each")
    parser.add_argument("--only", type=int, help="repeat one attempt")
    parser.add_argument("--at-once", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
