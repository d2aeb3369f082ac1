"""People with planted states: series, events, and a decoding that is over in seconds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from kraken_bids.io.writing import write_table
from kraken_bids.models.series.recipe import SeriesRecipe
from kraken_bids.models.step_training import StepSettings
from kraken_bids.pipeline.series.decoding_options import DecodingOptions

REGIONS = tuple(f"R{k}" for k in range(8))
TRIAL, REST = 8, 4
"""Volumes."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def make_courses(kind: str) -> list[np.ndarray]:
    """Courses of two states [n_volumes, n_regions].

    ``time``: rising and falling, of one mean; ``space``: steady, in other regions.
    """
    rng = np.random.default_rng(5)
    pattern = rng.choice([-1.0, 1.0], len(REGIONS))
    if kind == "time":
        slope = np.linspace(-1, 1, TRIAL)[:, None]
        return [1.2 * slope * pattern, -1.2 * slope * pattern]
    others = rng.permutation(pattern)
    return [np.tile(0.8 * one, (TRIAL, 1)) for one in (pattern, others)]


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., Path]:
    """Write series and events of people; returns the folder, ``series`` and ``bids`` in it."""

    def write(kind: str, *, n_people: int = 10, n_trials: int = 8, seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        folder = tmp_path / kind
        courses = make_courses(kind)
        for person in range(n_people):
            for run in (1, 2):
                name = f"sub-{person:02}_task-states_run-{run}"
                states = rng.permutation(np.arange(n_trials) % 2)
                values = rng.standard_normal((n_trials * (TRIAL + REST), len(REGIONS)))
                onsets = np.arange(n_trials) * (TRIAL + REST) + REST / 2
                for onset, state in zip(onsets.astype(int), states, strict=True):
                    values[onset : onset + TRIAL] += courses[state]
                path = folder / "series" / f"{name}_timeseries.tsv"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_table(path, dict(zip(REGIONS, values.T, strict=True)))
                func = folder / "bids" / f"sub-{person:02}" / "func"
                func.mkdir(parents=True, exist_ok=True)
                write_table(func / f"{name}_events.tsv", {
                    "onset": onsets * 1.0, "duration": np.full(n_trials, float(TRIAL)),
                    "trial_type": [("left", "right")[state] for state in states],
                })  # fmt: skip
        return folder

    return write


@pytest.fixture
def options() -> DecodingOptions:
    """As little as shows a difference; the events are to be given."""
    return DecodingOptions(
        labels="later",
        recipe=SeriesRecipe(embedding=16, n_layers=1, batch_size=24, dropout=0.0),
        steps=StepSettings(n_steps=60, learning_rate=5e-3, device="cpu"),
        n_folds=2,
        n_repeats=1,
    )
