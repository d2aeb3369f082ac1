"""What trained models are worth, for ``bench_training.py``: planted cohorts, real ones, peers.

A planted cohort: each person has factors that both modalities show, others that one of them
shows, and noise in every edge of every flavor.
"""

from collections.abc import Callable
from copy import copy
from itertools import product
from pathlib import Path

import numpy as np

from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.layers import to_unit_length
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.reduction import fit_reduction
from kraken_bids.models.krakencoder.training import Trainer, TrainingData, TrainingSettings
from kraken_bids.scores.metrics import own_correlations, rank_own, row_correlations

Edges = dict[Flavor, np.ndarray]
Predict = Callable[[Flavor, Flavor, np.ndarray], np.ndarray]
"""Predicted rows in transform space, of rows in transform space."""

FLAVORS = tuple(
    parse_flavor(name)
    for name in (
        "FCcorr_fs86_hpf", "FCcorr_fs86_hpfgsr", "FCpcorr_fs86_hpf",
        "SCifod2act_fs86_volnorm", "SCsdstream_fs86_volnorm", "SCifod2act_fs86_count",
    )
)  # fmt: skip
N_EDGES, N_SHARED, N_OWN = 900, 10, 15
NOISE = 2.2


def plant_cohort(n_subjects: int, seed: int) -> Edges:
    """Edges of six flavors in which factors of each person are planted."""
    rng = np.random.default_rng([seed, 7])
    shared = rng.normal(size=(n_subjects, N_SHARED))
    own = {group: rng.normal(size=(n_subjects, N_OWN)) for group in ("FC", "SC")}
    edges = {}
    for flavor in FLAVORS:
        hidden = np.hstack([shared, own[flavor.group]])
        weights = rng.normal(size=(hidden.shape[1], N_EDGES)) / hidden.shape[1] ** 0.5
        common, noise = rng.normal(size=N_EDGES) * 2, rng.normal(size=(n_subjects, N_EDGES))
        edges[flavor] = (common + hidden @ weights + NOISE * noise).astype(np.float32)
    return edges


def predict_by_weights(weights: Weights) -> Predict:
    """Give the predictions of an affine network."""

    def predict(source: Flavor, target: Flavor, rows: np.ndarray) -> np.ndarray:
        (encoder,), (decoder,) = (
            weights.linears(f"{kind}.{flavor.name}")
            for kind, flavor in (("encoders", source), ("decoders", target))
        )
        return decoder(to_unit_length(encoder(rows)))

    return predict


class Split:
    """People to learn from, and others to judge by; both reduced by transforms of the former."""

    def __init__(self, edges: Edges, train: np.ndarray, transform: str) -> None:
        self.edges, self.train = edges, train
        self.reductions = {f: fit_reduction(rows[train], transform) for f, rows in edges.items()}
        self.reduced = {f: self.reductions[f].forward(rows) for f, rows in edges.items()}

    def start(self, settings: TrainingSettings) -> Trainer:
        """Begin a training."""
        inputs = {f.name: rows[self.train] for f, rows in self.reduced.items()}
        design = settings.design(
            {name: rows.shape[1] for name, rows in inputs.items()},
            {f.name: f.group for f in self.edges},
        )
        return Trainer(design, TrainingData(inputs), settings)

    def predict_by(self, trainer: Trainer) -> Predict:
        """Give the predictions of a training as it stands."""
        return predict_by_weights(trainer.weights)

    def predict_by_pls(self) -> Predict:
        """Give those of partial least squares between scores, components by cross-validation."""
        from sklearn.cross_decomposition import PLSRegression
        from sklearn.model_selection import GridSearchCV

        fitted = {}

        def predict(source: Flavor, target: Flavor, rows: np.ndarray) -> np.ndarray:
            if (source, target) not in fitted:
                search = GridSearchCV(
                    PLSRegression(scale=False), {"n_components": [1, 2, 4, 8, 16]}, cv=5
                )
                fitted[source, target] = search.fit(
                    self.reduced[source][self.train], self.reduced[target][self.train]
                )
            return fitted[source, target].predict(rows)

        return predict

    def judge(
        self, predict: Predict, who: np.ndarray, *, across: bool = True
    ) -> dict[tuple[str, str], float]:
        """Mean metrics over paths (across modalities alone, or all), by space and metric."""
        found: dict[tuple[str, str], list[float]] = {}
        for source, target in product(self.edges, self.edges):
            if across and source.group == target.group:
                continue
            reduction = self.reductions[target]
            predicted = predict(source, target, self.reduced[source][who]).astype(np.float32)
            spaces = {
                "transform": (self.reduced[target], predicted),
                "edge": (self.edges[target], reduction.inverse(predicted)),
            }
            for space, (rows, given) in spaces.items():
                cc = row_correlations(rows[who], given)
                mean = rows[self.train].mean(axis=0)
                n = len(who)
                values = {
                    "average rank": np.mean(1 - rank_own(cc) / n),
                    "top-1": np.mean(rank_own(cc) == 0),
                    # of the own connectome among those of the others, for each prediction
                    "own among others": np.mean(1 - rank_own(cc.T) / (n - 1)),
                    "top-1 among others": np.mean(rank_own(cc.T) == 0),
                    "demeaned r": own_correlations(
                        rows[who], given, observed_mean=mean, predicted_mean=mean
                    ).mean(),
                }
                for metric, value in values.items():
                    found.setdefault((space, metric), []).append(value)
        return {key: float(np.mean(values)) for key, values in found.items()}


def read_conformance(folder: Path) -> tuple[Edges, dict[str, np.ndarray]]:
    """Edges of the known cohort, and its split into training, validation and test people."""
    from scipy.io import loadmat

    stored = np.load(folder / "connectomes_cohort20.npz")
    upper = np.triu_indices(86, 1)
    edges = {
        parse_flavor(name): stored[name][:, *upper] for name in stored.files if name != "subjects"
    }
    split = loadmat(folder / "subject_splits_20subj.mat")
    parts = {"train": "train", "validation": "val", "test": "test"}
    return edges, {name: split[f"subjidx_{key}"].ravel() for name, key in parts.items()}


def read_reference(folder: Path, split: Split) -> tuple[Split, Predict]:
    """Read the reference's own model of the known cohort, and reduce people by its transforms."""
    model = load_model(
        next(folder.glob("kraken_chkpt_*_ep000150.pt")),
        transforms=next(folder.glob("kraken_ioxfm_*.npy")),
        device="cpu",
    )
    theirs = copy(split)
    theirs.reductions = dict(model.reductions)
    theirs.reduced = {f: theirs.reductions[f].forward(rows) for f, rows in split.edges.items()}
    return theirs, predict_by_weights(model.network)
