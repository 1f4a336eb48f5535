"""What an attack is, and how many of it are tried: each attempt from a seed of its own, so that it can be repeated."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """What one attempt came to: how many things were tried in it, and a line for each promise that did not hold."""

    tried: int = 1
    failed: list[str] = []


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of attempt, what it shows, and how many there are of it in the test suite and in `nox -s attack`."""

    name: str
    promise: str
    attempt: Callable[[random.Random, Path, int], Outcome]
    """Given dice, an empty folder, and its number."""
    short: int
    long: int


class Result(msgspec.Struct, kw_only=True):
    """A row of the table."""

    attack: Attack
    tried: int = 0
    failed: list[str] = []


FEW = 2
"""Attempts that are handed to a process before the count is looked at: one may try a dozen things."""
ATTACKS: dict[str, Attack] = {}
"""By name. Each module of this folder adds its own."""


def attempt(name: str, seed: int, number: int) -> Outcome:
    """One attempt, in a folder that is gone afterwards. Whatever it raises is a failure of its own."""
    rng, folder = random.Random(f"{seed}/{name}/{number}"), Path(tempfile.mkdtemp(prefix="weighbridge-attack-"))
    try:
        return ATTACKS[name].attempt(rng, folder, number)
    except Exception as error:  # noqa: BLE001 -- an attack that breaks is no proof
        return Outcome(failed=[f"the attack itself: {type(error).__name__}: {error}"])
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)


def launch(attack: Attack, seed: int, count: int, at_once: int) -> Result:
    """Try until `count` things were tried; failures name the attempt that repeats them."""
    found, context = Result(attack=attack), multiprocessing.get_context("fork")
    with ProcessPoolExecutor(at_once, mp_context=context) as pool:
        for first in range(0, count, FEW * at_once):
            numbers = range(first, min(count, first + FEW * at_once))
            for number, outcome in zip(numbers, pool.map(attempt, *_columns(attack.name, seed, numbers)), strict=True):
                found.tried += outcome.tried
                found.failed += [f"{attack.name} --seed {seed} --only {number}: {told}" for told in outcome.failed]
            sys.stderr.write(f"\r{attack.name}: {found.tried:,} of {count:,}, {len(found.failed)} failed ")
            if found.tried >= count:
                break
    sys.stderr.write("\n")
    return found


def _columns(name: str, seed: int, numbers: range) -> Iterator[list[object]]:
    yield from ([name] * len(numbers), [seed] * len(numbers), list(numbers))


def table(results: list[Result]) -> str:
    """Markdown: what was tried and what did not hold."""
    rows = [f"| {each.attack.name} | {each.tried:,} | {len(each.failed)} | {each.attack.promise} |" for each in results]
    return "\n".join(["| attack | tried | failed | what must hold |", "| --- | --- | --- | --- |", *rows])
