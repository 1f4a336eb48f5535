"""What every task must hold. A third party subclasses `TaskConformance`, or names its task on a command line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest

from weighbridge.bench.cli.conformance.announced import Conformance
from weighbridge.bench.cli.conformance.subject import as_seeded, card_of, outputs_of, reference_of, unfinite
from weighbridge.bench.core.arrays import Arrays, Files, arrays_hash
from weighbridge.bench.core.backend import Reference, Training
from weighbridge.bench.core.card import TaskCard
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.task import Examples, Task, Trained
from weighbridge.bench.run import cards, registry
from weighbridge.bench.run.registry import TASKS
from weighbridge.bench.storage import packages

PRESET = "small"
SCORED, TRAINED = 64, 32
"""Rows that are scored, and trained on."""


class TaskConformance(Conformance):
    """The tests of a task, on its preset `small`."""

    task: ClassVar[str] = ""
    """Its name, installed by an entry point of `weighbridge.tasks`, or a Python file; else `--task` names it."""
    reference: ClassVar[str] = ""
    """What runs its model: the reference of suite quick where none is named."""

    @pytest.fixture(scope="class")
    @classmethod
    def card(cls, request: pytest.FixtureRequest) -> TaskCard:
        """As a child process describes it."""
        return cards.task(card_of(cls.task or str(request.config.getoption("weighbridge_task", "")), TASKS))

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, card: TaskCard) -> Task:
        """The task itself, whose code runs here from now on."""
        return registry.task(card.module, card.name)

    @pytest.fixture(scope="class")
    @classmethod
    def files(cls, card: TaskCard) -> Files:
        """Its verified data packages."""
        return packages.files(card.packages)

    @pytest.fixture(scope="class")
    @classmethod
    def held_out(cls, subject: Task, files: Files) -> Examples:
        """The rows that are scored."""
        return subject.data(files, "eval", PRESET)

    def test_it_says_what_it_is(self, card: TaskCard) -> None:
        """Source, licence, item, presets with a batch size each."""
        assert PRESET in card.models, f"there is no preset {PRESET}"
        assert card.models.keys() == card.batch_size.keys()
        assert all(size > 0 for size in card.batch_size.values())
        assert all(text.strip() for text in (card.source, card.licence, card.item))
        assert card.latency_bound_s > 0

    def test_its_data_are_the_same_each_time(self, subject: Task, files: Files, held_out: Examples) -> None:
        """The same call returns the same bytes, and leaves those of the last alone."""
        again = subject.data(files, "eval", PRESET)
        assert arrays_hash(again.inputs) == arrays_hash(held_out.inputs)
        assert arrays_hash(again.targets) == arrays_hash(held_out.targets)

    def test_its_data_are_rows_of_finite_numbers(self, held_out: Examples) -> None:
        """Axis 0 counts examples and agrees."""
        assert len(held_out) > 0
        for name, array in {**held_out.inputs, **held_out.targets}.items():
            assert len(array) == len(held_out), f"{name} has {len(array)} rows, not {len(held_out)}"
            assert array.dtype.kind in "biuf", f"{name} is {array.dtype}"
            assert np.isfinite(array).all(), f"{name} is not finite"

    def test_no_row_is_both_trained_on_and_scored(self, subject: Task, files: Files, held_out: Examples) -> None:
        """Where it trains at all."""
        if subject.recipe is None:
            pytest.skip("it has no recipe")
        trained = subject.data(files, "train", PRESET)
        assert not set(_rows(trained)) & set(_rows(held_out))

    def test_its_figures_are_finite_and_are_those_of_target_and_baseline(
        self, subject: Task, files: Files, held_out: Examples, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Scored on the first rows, with weights that were not trained."""
        if "infer" not in subject.scenarios:
            pytest.skip("it has no forward pass to score")
        reference = reference_of(self.reference)
        outputs, targets = _outputs(subject, reference, files, held_out, tmp_path_factory)
        figures = subject.score(subject.digest(outputs, targets))
        assert not unfinite(figures), f"{figures} are not all finite"
        assert {subject.target.metric, subject.baseline.metric} <= figures.keys(), f"it scores {sorted(figures)}"

    def test_its_baseline_was_computed_and_its_target_is_above(self, card: TaskCard) -> None:
        """Both are finite and say who measured them."""
        for told in (card.target, card.baseline):
            assert math.isfinite(told.value)
            assert told.source.strip()
        assert card.target.higher_is_better == card.baseline.higher_is_better
        if card.target.metric == card.baseline.metric:
            better = card.target.value - card.baseline.value
            assert (better if card.target.higher_is_better else -better) >= 0, "the target is under the baseline"

    def test_its_recipe_trains(self, subject: Task, files: Files) -> None:
        """A task with trained weights has a recipe and a loss; the reference takes an epoch of a few rows with them."""
        model = subject.models[PRESET]
        if not isinstance(model.weights, Trained):
            pytest.skip("its weights are not trained")
        assert subject.recipe is not None, "its weights are trained, and it has no recipe"
        assert subject.loss, "its weights are trained, and it has no loss"
        few = _first(subject.data(files, "train", PRESET), TRAINED)
        import msgspec

        recipe = msgspec.structs.replace(subject.recipe, epochs=1, batch_size=min(TRAINED, subject.recipe.batch_size))
        training = Training(loss=subject.loss, recipe=recipe, examples=few, seed=0)
        weights = reference_of(self.reference).weights(model, files, training)
        assert all(np.isfinite(array).all() for array in weights.values())


def _rows(examples: Examples) -> Iterator[str]:
    for index in range(len(examples)):
        yield arrays_hash({name: array[index] for name, array in examples.inputs.items()})


def _first(examples: Examples, count: int) -> Examples:
    return Examples(
        inputs={name: array[:count] for name, array in examples.inputs.items()},
        targets={name: array[:count] for name, array in examples.targets.items()},
    )


def _outputs(
    task: Task, reference: Reference, files: Files, examples: Examples, folders: pytest.TempPathFactory
) -> tuple[Arrays, Arrays]:
    from safetensors.numpy import save_file

    few = _first(examples, SCORED)
    model, path = as_seeded(task.models[PRESET]), folders.mktemp("task") / "weights.safetensors"
    save_file(reference.weights(model, files, None), path)
    cell = Cell(
        task=task.name,
        preset=PRESET,
        backend=reference.name,
        scenario="infer",
        precision="fp32",
        batch_size=len(few),
        device="cpu",
    )
    session = reference.open(model, path, cell)
    found = outputs_of(session, few.inputs)
    session.close()
    return found, few.targets
