"""The demonstration from end to end: make data, train a small model, run the BIDS App on them."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kraken_bids.bids.outputs import group_path, group_report_path
from kraken_bids.demo.cohort import simulate_cohort
from kraken_bids.demo.dataset import write_demo_dataset
from kraken_bids.exceptions import InputError
from kraken_bids.io.tables import read_columns
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.training import TrainingSettings, train_model
from kraken_bids.pipeline.group import run_group
from kraken_bids.pipeline.participant import run_participants
from kraken_bids.pipeline.progress import Progress
from kraken_bids.run_settings import RunSettings
from kraken_bids.scores.metrics import chance_rank
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

logger = logging.getLogger(__name__)

N_COHORT = 150
"""Synthetic subjects that the demonstration model learns from; none of them is in the dataset."""
RECIPE = TrainingSettings(
    transform="pca32",
    latent_size=16,
    dropout=0.1,
    learning_rate=1e-3,
    n_epochs=40,
    device="cpu",
    schedule="paths",
)
SEED = 1


def run_demo(out: Path, *, n_subjects: int, n_procs: int) -> Iterator[str]:
    """Run the demonstration.

    Parameters
    ----------
    out : Path
        Folder for ``bids/``, ``model/`` and ``derivatives/``; what is there is taken as it is.
    n_subjects : int
        Subjects of the dataset, at least 12.
    n_procs : int
        Processes.

    Yields
    ------
    str
        Lines to print: what is being done, then where the results are and how well they are.

    Raises
    ------
    InputError
        If ``out`` is no folder, or a run failed.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"OUT: expected a folder to write to; found {out}, which is none.")
    start = time.monotonic()
    bids, model, derivatives = out / "bids", out / "model", out / "derivatives"
    yield f"1/4 Writing a synthetic dataset of {n_subjects} participants to {bids}"
    if not (bids / ".complete").exists():
        _write(bids, n_subjects, n_procs)
    yield f"2/4 Training a model of 15 flavors on {N_COHORT} other synthetic subjects"
    if not (model / "model.json").exists():
        _train(model)
    yield f"3/4 kraken-bids {bids} {derivatives} participant --model {model}"
    data, prediction = DataSettings(bids, derivatives), PredictionSettings(model=str(model))
    settings = Settings(data, prediction=prediction, run=RunSettings(n_procs=n_procs))
    _check(run_participants(settings), derivatives)
    yield f"4/4 kraken-bids {bids} {derivatives} group --model {model}"
    _check(run_group(settings), derivatives)
    yield from _summarise(derivatives, time.monotonic() - start)


def _write(bids: Path, n_subjects: int, n_procs: int) -> None:
    progress = _count("participants")
    write_demo_dataset(bids, n_subjects, seed=SEED, n_procs=n_procs, on_progress=progress)
    (bids / ".complete").touch()


def _train(folder: Path) -> None:
    logger.info("simulating the connectomes of %d subjects", N_COHORT)
    subjects = Progress("simulated", N_COHORT)
    cohort = simulate_cohort(N_COHORT, SEED, on_subject=subjects.advance)
    logger.info("fitting the transforms of %d flavors", len(cohort))
    epochs = Progress("trained epochs:", RECIPE.n_epochs)
    model = train_model(
        cohort, settings=RECIPE, name="kraken-demo", on_epoch=lambda _: epochs.advance()
    )
    write_model(model, folder)


def _count(noun: str) -> Callable[[int, int], None]:
    def log(done: int, total: int) -> None:
        logger.info("%d of %d %s", done, total, noun)

    return log


def _check(exit_code: int, derivatives: Path) -> None:
    if exit_code:
        raise InputError(
            f"the demonstration failed with exit code {exit_code}; see {derivatives}/logs."
        )


def _summarise(derivatives: Path, seconds: float) -> Iterator[str]:
    """Say where the reports are, and what predictions across modalities are worth."""
    columns = read_columns(group_path(derivatives, "metrics.tsv"))
    rows = list(zip(*columns.values(), strict=True))
    yield ""
    yield "How well subjects that the model has never seen are found from their other modality:"
    for source, group in (("fusionSC", "FC"), ("fusionFC", "SC")):
        own = [row for row in rows if row[0] == source and row[1].startswith(group)]
        mean = partial(_average, own)
        n = int(max(float(row[3]) for row in own if row[2] == "n"))
        yield (
            f"  {'structure' if group == 'FC' else 'function'} → "
            f"{'function' if group == 'FC' else 'structure'}: the right one of {n} subjects in "
            f"{mean('top1acc'):.0%} of cases (chance {1 / n:.0%}); average rank "
            f"{mean('avgrank'):.2f} (1 is perfect, chance {chance_rank(n):.2f}); squared error "
            f"{-mean('gain'):+.0%} against the group mean"
        )
    yield ""
    yield f"Group report:        {group_report_path(derivatives)}"
    yield f"Participant reports: {derivatives}/sub-*.html"
    yield f"Done in {seconds / 60:.1f} minutes."


def _average(rows: Sequence[Sequence[Any]], metric: str) -> float:
    """Mean of a metric over targets."""
    values = [float(row[3]) for row in rows if row[2] == metric]
    return sum(values) / len(values)
