"""Real people judged as a group run judges them, and what so few can and cannot show."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.flavors import Flavor
from kraken_bids.models.calibration.calibration import N_FOLDS, fit_calibration
from kraken_bids.models.calibration.difficulty import describe_subjects
from kraken_bids.models.calibration.intervals import measure_coverage
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.splits import deal_folds
from kraken_bids.pipeline.check.peer_comparison import Fitting, Measured, compare_peer
from kraken_bids.scores.quality_control import CROSS_MODAL
from kraken_bids.scores.significance import Score, compare, score_comparison

HEADER = (
    "target", "correlation", "of the mean", "raw gain: trained on", "others",
    "calibrated gain, held out", "kept", "coverage of 0.9", "gain of PLS, held out",
)  # fmt: skip


def judge_people(folder: Path) -> Iterator[str]:
    """Yield a table of the 20 people of a conformance folder, and what it is worth."""
    checkpoints = sorted(folder.glob("*.pt"))
    if not checkpoints:
        yield f"No real people: {folder} is not there."
        return
    model = load_model(str(checkpoints[0]), device="cpu")
    cohort = read_connectomes(str(folder / "connectomes_cohort20.npz"))
    split = loadmat(folder / "subject_splits_20subj.mat")
    trained = np.zeros(len(cohort.subjects), bool)
    trained[np.asarray(split["subjidx_train"]).reshape(-1).astype(int)] = True
    yield f"Real people: {len(trained)} of the reference's example, {trained.sum()} of them those "
    yield "that the model was trained on (fs86, no adaptation).\n"
    yield f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}"
    for target in model.flavors:
        yield judge_target(model, dict(cohort.edges), target, trained)
    yield WORDS


def judge_target(model, edges, target: Flavor, trained: NDArray[np.bool_]) -> str:  # type: ignore[no-untyped-def]
    """One row of the table."""
    source = CROSS_MODAL[target.group]
    inputs = {flavor: rows for flavor, rows in edges.items() if flavor.group in source}
    measured = edges[target].astype(np.float32)
    predicted = model.predict(inputs, source=source, targets=target)[target]
    n = len(measured)
    folds = deal_folds(n, min(N_FOLDS, n))
    fitted = fit_calibration(measured, predicted, folds=folds)
    scores = score_comparison(compare(measured, predicted, folds=folds))
    calibrated = score_comparison(compare(measured, np.asarray(fitted.held_out), folds=folds))[
        "gain"
    ]
    latents = model.fuse_for(target, {f: model.encode(f, x) for f, x in inputs.items()}, source)
    features = describe_subjects(latents, latents.mean(axis=0), np.full(n, np.nan))
    covered, _ = measure_coverage(measured, predicted, fitted, features, coverage=0.9)
    people = list(range(n))
    own = [Measured.of(people, rows) for rows in inputs.values()]
    peer = compare_peer(
        Measured.of(people, measured), own, people, Fitting.of(people, [str(k) for k in people])
    )
    raw = [
        score_comparison(
            compare(measured[rows], predicted[rows], mean=measured[trained].mean(axis=0))
        )["gain"]
        for rows in (trained, ~trained)
    ]
    cells = [
        f"{scores['avgcorr'].value:.3f}", f"{scores['baseline_avgcorr'].value:.3f}",
        *(show(one) for one in raw), show(calibrated), f"{fitted.calibration.kept:.2f}",
        f"{covered.mean():.3f}", show(score_comparison(peer)["gain"]),
    ]  # fmt: skip
    return f"| {target} | {' | '.join(cells)} |"


def show(score: Score) -> str:
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


WORDS = """
They show that everything runs on real connectomes, that raw correlation is that of the mean, and
how far apart people trained on and others lie. They cannot show what the published model is worth:
this one was trained on 12 of them, whom its calibration then learns to trust (calibrated gain is
too large, and would not hold for new people); 8 others tell a gain to a few hundredths at best;
intervals of 20 people rest on their two largest errors; and nobody was measured twice: the 12 of
the new site are the same sessions, changed by arithmetic, so that there is no ceiling. They are
fewer than 20 and are refused a calibration of their own."""
