"""The closed-form peer: partial least squares between the scores of every pair of flavors.

Scores are reduced connectomes, such as those on principal components. Each path from one flavor
to another one has a regression of its own, and the whole is a network without hidden layers whose
latent is everything that a flavor predicts: a block of numbers per flavor. A decoder takes the
block of its flavor, so the mean of several latents gives the mean of what each would predict.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate, islice

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError, SettingsError
from kraken_bids.models.devices import CPU, run_parts
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.moments import Matrix, Moments
from kraken_bids.models.krakencoder.pls_components import extract_components, extract_together
from kraken_bids.models.krakencoder.pls_network import make_network
from kraken_bids.models.splits import deal_folds

METHODS = ("pls", "ridge")
PATIENCE = 5
"""Components that may follow the best one without a gain before no more are tried."""
ROUGHLY = 1e-4
"""Residual of a singular vector, in units of its squared singular value, where a number of
components is chosen."""
RIDGES = np.logspace(-6, 3, 28)
"""Penalties that are tried, in units of the source's mean variance per score."""
MIN_SUBJECTS = 10
"""Fewer subjects with both flavors of a path do not choose its regression."""

Fitted = tuple[Matrix, float, float]
"""Coefficients ``[n_inputs, n_outcomes]``, strength, share of held-out variance explained."""


@dataclass(frozen=True)
class PlsSettings:
    """What fixes the regressions."""

    method: str = "pls"
    """``pls``: partial least squares; ``ridge``: ridge regression."""
    max_components: int = 40
    """Most components of a path."""
    n_folds: int = 5
    """Parts of the training subjects that are held out in turn; families stay together."""
    seed: int = 0
    """Of the parts."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SettingsError(
                f"expected a method among {', '.join(METHODS)}; found {self.method!r}."
            )
        if self.max_components < 1 or self.n_folds < 2:
            raise SettingsError(
                "expected at least 1 component and 2 folds; found "
                f"{self.max_components} and {self.n_folds}."
            )


@dataclass(frozen=True)
class PathFit:
    """What is known of one path's regression."""

    source: str
    """The flavor it starts from."""
    target: str
    """The flavor it predicts."""
    strength: float
    """Number of components, or the ridge penalty in units of mean variance; chosen on folds."""
    r2: float
    """Share of the variance of the target's scores explained in subjects held out; may be < 0."""
    n_subjects: int
    """Subjects who have both flavors."""


def fit_pls(
    scores: Mapping[str, NDArray[np.floating]],
    settings: PlsSettings | None = None,
    *,
    families: Sequence[str] | None = None,
) -> tuple[Weights, tuple[PathFit, ...]]:
    """Fit a regression for every ordered pair of flavors, as one network.

    Parameters
    ----------
    scores : mapping of str to ndarray of shape (n_subjects, n_scores)
        Reduced connectomes of the training subjects by flavor id; a row of NaN where a subject
        lacks a flavor. Each path is fitted on those who have both of its flavors.
    families : sequence of str, optional
        Family of each subject; members are held out together.

    Returns
    -------
    weights : Weights
        Self paths give the scores back unchanged.
    paths : tuple of PathFit
        Of every pair of different flavors.

    Raises
    ------
    ConnectomeError
        If fewer than 10 subjects have both flavors of a path.

    Source: Wold, Sjöström and Eriksson 2001, doi:10.1016/S0169-7439(01)00155-1; scores are
    centered and not scaled, as ``PLSRegression(scale=False)`` of scikit-learn does.
    """
    settings = settings or PlsSettings()
    n_subjects = len(next(iter(scores.values())))
    folds = deal_folds(n_subjects, settings.n_folds, families=families, seed=settings.seed)
    exact = {name: np.asarray(rows, np.float64) for name, rows in scores.items()}
    fitted = run_parts(lambda name: _fit_source(exact, name, folds, settings), exact, CPU)
    _decompose.cache_clear()
    sizes = {name: rows.shape[1] for name, rows in exact.items()}
    weights = make_network(sizes, [(matrix, bias) for matrix, bias, _ in fitted])
    return weights, tuple(path for _, _, paths in fitted for path in paths)


def _fit_source(
    scores: Mapping[str, Matrix], source: str, folds: NDArray[np.intp], settings: PlsSettings
) -> tuple[Matrix, Matrix, list[PathFit]]:
    """Fit all paths from one flavor: coefficients and intercepts of all blocks, and the paths."""
    x = scores[source]
    matrices, biases, paths = [], [], []

    @cache
    def square(people: bytes) -> Matrix:
        """Add up the inputs' products; most targets are of the same subjects."""
        rows = x[np.frombuffer(people, np.bool_)]
        return np.asarray(rows.T @ rows)

    for target, y in scores.items():
        if target == source:
            matrices.append(np.eye(x.shape[1]))
            biases.append(np.zeros(x.shape[1]))
            continue
        both = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
        if both.sum() < MIN_SUBJECTS:
            raise ConnectomeError(
                f"expected at least {MIN_SUBJECTS} training people with both {source} and "
                f"{target}; found {both.sum()}. Leave one of the two flavors out, or give more "
                "people."
            )
        moments = [
            Moments.of(x[rows], y[rows], xx=square(rows.tobytes()))
            for fold in np.unique(folds[both])
            for rows in [both & (folds == fold)]
        ]
        whole = sum_moments(moments)
        coefficients, strength, r2 = fit_regression(moments, settings)
        matrices.append(coefficients)
        biases.append(whole.mean_y - whole.mean_x @ coefficients)
        paths.append(PathFit(source, target, strength, r2, whole.n))
    return np.hstack(matrices), np.concatenate(biases), paths


def sum_moments(moments: Sequence[Moments]) -> Moments:
    """Add up the moments of all parts."""
    return list(accumulate(moments))[-1]


def fit_regression(moments: Sequence[Moments], settings: PlsSettings) -> Fitted:
    """Fit one regression whose strength is chosen by holding out each part in turn.

    Parameters
    ----------
    moments : sequence of Moments
        Of each part of the subjects.
    """
    whole = sum_moments(moments)
    cuts = [(whole - part, part) for part in moments]
    held_out = [
        (kept.centered(), part.around(kept.mean_x, kept.mean_y)) for kept, part in cuts if kept.n
    ]
    choose = {"pls": _choose_components, "ridge": _choose_ridge}[settings.method]
    return choose(whole.centered(), held_out, settings)


def _choose_components(
    whole: Moments, held_out: Sequence[tuple[Moments, Moments]], settings: PlsSettings
) -> Fitted:
    """Add components while the error of subjects held out falls."""
    parts = [part for _, part in held_out]
    xx, xy = (np.stack([getattr(part, name) for part in parts]) for name in ("xx", "xy"))
    total = sum(part.yy for part in parts)
    errors = [total]
    # a component that is off by e changes an error by e squared: here few digits do
    walked = extract_together([kept for kept, _ in held_out], tolerance=ROUGHLY)
    found: list[tuple[Matrix, Matrix]] = []
    for _, (rotations, loadings) in zip(range(settings.max_components), walked, strict=False):
        found.append((rotations, loadings))
        errors.append(errors[-1] + _change_error(xx, xy, found))
        if len(errors) - 1 - int(np.argmin(errors)) >= PATIENCE:
            break
    best = int(np.argmin(errors))
    coefficients = np.zeros_like(whole.xy)
    chosen = list(islice(extract_components(whole), best))
    if chosen:
        chosen_r, chosen_q = map(np.stack, zip(*chosen, strict=True))
        coefficients = chosen_r.T @ chosen_q
    return coefficients, float(len(chosen)), 1 - errors[best] / total if total > 0 else 0.0


def _change_error(xx: Matrix, xy: Matrix, found: Sequence[tuple[Matrix, Matrix]]) -> float:
    """Squared error in subjects held out with the last component, less that without it.

    Parameters
    ----------
    xx, xy : ndarray of shape (n_folds, n_inputs, n_inputs or n_outcomes)
        Sums over the subjects held out.
    found : sequence of tuple
        Rotations and loadings of each fold's regression.
    """
    rotation, loading = (side[:, :, None] for side in found[-1])
    before_r, before_q = (np.stack([one[side] for one in found], axis=1) for side in (0, 1))
    spread = xx @ rotation
    # of scores with the last ones: the last is the score's own square, and counts once
    shared = before_r @ spread
    shared[:, :-1] *= 2
    fitted = (shared * (before_q @ loading)).sum()
    return float(fitted - 2 * (rotation.transpose(0, 2, 1) @ xy @ loading).sum())


def _choose_ridge(
    whole: Moments, held_out: Sequence[tuple[Moments, Moments]], settings: PlsSettings
) -> Fitted:
    """Take the penalty with the least error in subjects held out."""
    del settings
    total = sum(part.yy for _, part in held_out)
    errors = sum((_list_ridge_errors(kept, part) for kept, part in held_out), np.zeros(1))
    best = int(np.argmin(errors))
    solve = solve_ridge(whole)
    return (
        solve(RIDGES[best]),
        float(RIDGES[best]),
        float(1 - errors[best] / total) if total else 0.0,
    )


def solve_ridge(moments: Moments) -> Callable[[float], Matrix]:
    """Prepare a ridge regression: coefficients of any penalty, in units of mean variance."""
    values, vectors = _decompose(moments.xx.tobytes())
    unit = values.mean()
    turned = vectors.T @ moments.xy
    return lambda penalty: vectors @ (turned / (values + penalty * unit)[:, None])


@lru_cache(maxsize=32)
def _decompose(square: bytes) -> tuple[Matrix, Matrix]:
    """Eigenvalues and eigenvectors; those of one source's inputs serve all of its targets."""
    numbers = np.frombuffer(square)
    size = round(len(numbers) ** 0.5)
    found = np.linalg.eigh(numbers.reshape(size, size))
    return found.eigenvalues, found.eigenvectors


def _list_ridge_errors(kept: Moments, part: Moments) -> Matrix:
    """Squared error in subjects held out for each of :data:`RIDGES`."""
    values, vectors = _decompose(kept.xx.tobytes())
    turned = vectors.T @ kept.xy
    crossed = (turned * (vectors.T @ part.xy)).sum(axis=1)
    spread = (vectors.T @ part.xx @ vectors) * (turned @ turned.T)
    weights = 1 / (values + RIDGES[:, None] * values.mean())
    errors = part.yy - 2 * weights @ crossed + ((weights @ spread) * weights).sum(axis=1)
    return np.asarray(errors, np.float64)
