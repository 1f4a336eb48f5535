"""One contract over every backend, the hidden ones too. One that cannot be imported here fails; none is skipped."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests import nouns
from tests.conftest import make_cell
from weighbridge.bench.core import Arrays, Backend, Cell, ModelSpec, Seeded, Session
from weighbridge.bench.measure import parity
from weighbridge.bench.run import cards

BACKENDS = list(nouns.backends().values())
NAMES = [backend.name for backend in BACKENDS]
MLP = ModelSpec(
    architecture="mlp", config={"in_features": 5, "hidden": [7, 6], "out_features": 1}, weights=Seeded(seed=3)
)
LLAMA = ModelSpec(
    architecture="llama",
    config={
        "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
    },
    weights=Seeded(seed=4),
)  # fmt: skip
BATCH: Arrays = {"features": np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    reference = nouns.reference("torch")
    made: dict[str, Path] = {}
    for model in (MLP, LLAMA):
        made[model.architecture] = tmp_path_factory.mktemp("weights") / "weights.safetensors"
        save_file(reference.weights(model, {}, None), made[model.architecture])
    return made


OPEN: list[Session] = []


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    """Some sessions change what the process compiles for as long as they are open."""
    yield
    while OPEN:
        OPEN.pop().close()


def outputs(session: Session, batch: Arrays) -> Arrays:
    y = session.step(session.to_device(batch))
    session.sync(y)
    return session.to_host(y)


def opened(backend: Backend, weights: dict[str, Path], model: ModelSpec = MLP, **cell: Any) -> Session:
    OPEN.append(backend.open(model, weights[model.architecture], make_cell(backend.name, **cell)))
    return OPEN[-1]


@pytest.mark.parametrize("backend", BACKENDS, ids=NAMES)
class TestEveryBackend:
    def test_what_it_requires_is_installed_here(self, backend: Backend) -> None:
        assert cards.not_installed(cards.backend(backend.name)) is None

    def test_it_computes_what_the_reference_computes(self, backend: Backend, weights: dict[str, Path]) -> None:
        reference = nouns.reference("torch")
        oracle = outputs(opened(reference, weights, precision="fp64"), BATCH)
        eager = outputs(opened(reference, weights), BATCH)
        verdict = parity.judge(outputs(opened(backend, weights), BATCH), eager, oracle, "", "fp32")
        assert verdict.passed, verdict

    def test_outputs_are_host_arrays_of_at_least_float32(self, backend: Backend, weights: dict[str, Path]) -> None:
        first = backend.devices[0]
        cells = [make_cell(backend.name, precision=one, device=first) for one in set(backend.precisions) - {"tf32"}]
        precisions = [cell.precision for cell in cells if not backend.why_not(cell)]
        assert "fp32" in precisions
        for precision in precisions:
            found = outputs(opened(backend, weights, precision=precision), BATCH)
            assert found["prediction"].shape == (6,)
            assert found["prediction"].dtype == np.float32

    def test_what_it_counts_is_at_least_the_products_and_the_weights(
        self, backend: Backend, weights: dict[str, Path]
    ) -> None:
        session = opened(backend, weights)
        x = session.to_device(BATCH)
        session.sync(session.step(x))
        found = session.cost(x)
        parameters = 5 * 7 + 7 * 6 + 6
        assert found is None or 2 * 6 * parameters <= found.flops < 20 * 2 * 6 * parameters
        assert found is None or found.bytes >= 4 * parameters

    def test_the_same_batch_gives_the_same_bytes_and_is_left_alone(
        self, backend: Backend, weights: dict[str, Path]
    ) -> None:
        session, before = opened(backend, weights), BATCH["features"].copy()
        first, second = outputs(session, BATCH), outputs(session, BATCH)
        assert first["prediction"].tobytes() == second["prediction"].tobytes()
        assert np.array_equal(BATCH["features"], before)

    def test_another_batch_gives_other_outputs(self, backend: Backend, weights: dict[str, Path]) -> None:
        session = opened(backend, weights)
        other = {"features": BATCH["features"] + 1}
        assert not np.allclose(outputs(session, BATCH)["prediction"], outputs(session, other)["prediction"])

    def test_facts_are_json_and_name_the_footing(self, backend: Backend, weights: dict[str, Path]) -> None:
        session = opened(backend, weights)
        outputs(session, BATCH)
        facts = json.loads(json.dumps(session.facts()))
        assert None not in (facts.get("threads"), facts.get("precision"), facts.get("scope"))
        assert facts["ran_on"] == "cpu"

    def test_a_third_shape_is_a_program_more_exactly_where_it_says_so(
        self, backend: Backend, weights: dict[str, Path]
    ) -> None:
        session = opened(backend, weights)
        counts: list[int | None] = []
        for rows in (6, 5, 4):
            outputs(session, {"features": BATCH["features"][:rows]})
            counts.append(session.programs())
        _, second, third = counts
        assert (third is not None and second is not None and third > second) == backend.program_a_shape

    def test_memory_is_a_figure_or_unknown_and_never_zero(self, backend: Backend, weights: dict[str, Path]) -> None:
        session = opened(backend, weights)
        outputs(session, BATCH)
        assert session.device_peak_bytes() is None or session.device_peak_bytes() > 0  # type: ignore[operator]
        session.close()

    def test_its_clock_never_goes_back(self, backend: Backend, weights: dict[str, Path]) -> None:
        session = opened(backend, weights)
        readings = [session.clock() for _ in range(10)]
        outputs(session, BATCH)
        assert readings == sorted(readings)
        assert session.clock() >= readings[-1]

    @pytest.mark.parametrize(
        ("change", "word"),
        [({"device": "tpu"}, "tpu"), ({"scenario": "serve"}, "serve"), ({"precision": "int8"}, "int8")],
    )
    def test_what_it_cannot_do_it_refuses_in_words(self, backend: Backend, change: dict[str, Any], word: str) -> None:
        reason = backend.why_not(make_cell(backend.name, **change))
        possible = change.get("device") in backend.devices
        assert possible or (reason is not None and word in reason)

    def test_its_environment_is_text(self, backend: Backend, tmp_path: Path) -> None:
        variables = backend.env(make_cell(backend.name), tmp_path)
        assert all(isinstance(text, str) for pair in variables.items() for text in pair)


GENERATING = [backend for backend in BACKENDS if "generate" in backend.scenarios]


@pytest.mark.parametrize("backend", GENERATING, ids=[backend.name for backend in GENERATING])
def test_generation_gives_the_references_tokens(backend: Backend, weights: dict[str, Path]) -> None:
    batch: Arrays = {
        "input_ids": np.random.default_rng(1).integers(3, 97, (2, 9)),
        "new_tokens": np.asarray(6),
    }
    expected = outputs(opened(nouns.backend("torch"), weights, LLAMA, scenario="generate"), batch)
    session = opened(backend, weights, LLAMA, scenario="generate")
    found = outputs(session, batch)
    assert found["tokens"].tolist() == expected["tokens"].tolist()
    assert np.allclose(found["logit"], expected["logit"], rtol=1e-4, atol=1e-5)
    first = outputs(session, {**batch, "new_tokens": np.asarray(1)})
    assert first["tokens"].tolist() == expected["tokens"][:, :1].tolist()
    assert math.isfinite(float(first["logit"].sum()))


def test_the_cells_of_one_group_share_everything_but_the_backend() -> None:
    cells: list[Cell] = [make_cell(name) for name in NAMES]
    assert len({cell.group for cell in cells}) == 1
    assert len({cell.id for cell in cells}) == len(cells)
