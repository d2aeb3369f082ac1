"""What a small cohort may change in a model, from nothing to its decoders, rung by rung.

Everything happens between scores, the reduced connectomes that a network takes and gives. Scores
are *adapted*: each flavor's ``b0 (s - mean)``, so that the cohort's mean is the training mean.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.devices import CPU, to_numpy
from kraken_bids.models.krakencoder.architecture import Linear, Weights
from kraken_bids.models.krakencoder.changes import Changes, is_moved
from kraken_bids.models.krakencoder.layers import Layers

Matrix = NDArray[np.float64]
Rows = NDArray[np.bool_]
Path = tuple[str, str]

NONE, MEAN_SHIFT, LATENT_MAP, DECODER_BIAS, DECODER = RUNGS = (
    "none",
    "mean shift",
    "latent map",
    "decoder bias",
    "decoder",
)
"""From the one that changes least."""
UNCHANGED = "as below"
"""Strength of a rung that adds nothing to the one below it."""
RANKS = (1, 2, 4, 8, 16, 32)
"""Directions of the latent that may be turned."""
LONGEST_TURNED = 512
"""Longer latents, those of regressions, are blocks of scores and not turned."""
HOLDS = (1.0, 0.3, 0.1, 0.03, 0.01)
"""How strongly the latent map is held to the identity, in units of the strongest covariance."""
BIAS_SHARES = (0.5, 1.0)
"""Share of the mean error that the decoders' biases take away."""
DECODER_HOLDS = (100.0, 10.0, 1.0, 0.1, 0.01)
"""How strongly decoders are held to what they were, in units of their inputs' mean variance."""


@dataclass(frozen=True)
class Tuner:
    """A network and a cohort's scores, from which changes are fitted and judged."""

    network: Weights
    raw: Mapping[str, Matrix]
    """Scores ``[n_subjects, n_scores]`` by flavor id, not adapted; NaN where somebody lacks it."""
    adapted: Mapping[str, Matrix]
    """The same subjects' adapted scores."""

    @cached_property
    def judged(self) -> tuple[Path, ...]:
        """Paths that the score of a rung is the mean of: those between SC and FC, if there are."""
        every = [(i, j) for i in self.raw for j in self.raw]
        crossed = [path for path in every if is_moved(path[0]) != is_moved(path[1])]
        return tuple(crossed or [path for path in every if path[0] != path[1]] or every)

    @property
    def is_crossed(self) -> bool:
        """Whether subjects have both modalities."""
        return len({is_moved(name) for name in self.raw}) == 2

    @cached_property
    def _layers(self) -> Layers:
        return Layers(self.network, {}, CPU, {})

    @property
    def can_turn(self) -> bool:
        """Whether latents of two modalities can be turned into each other in this network."""
        arch = self.network.architecture
        is_open = arch.latent_activation == "none" and arch.latent_size <= LONGEST_TURNED
        return is_open and self.is_crossed

    @property
    def can_decode(self) -> bool:
        """Whether the decoders' last layers have biases."""
        return all(self._last(name).bias is not None for name in self.raw)

    def shift(self, rows: Rows) -> Changes:
        """Mean shift fitted on some subjects."""
        means = {name: _mean(scores[rows]) for name, scores in self.adapted.items()}
        return Changes(means)

    def score_paths(
        self, changes: Changes, rows: Rows, paths: tuple[Path, ...], *, fitted_on: Rows
    ) -> Matrix:
        """Likeness of everybody's scores to what is predicted of them, path by path.

        Parameters
        ----------
        rows : ndarray of bool, shape (n_subjects,)
            Whom to judge.
        paths : tuple of (str, str)
        fitted_on : ndarray of bool, shape (n_subjects,)
            Whose mean the observed scores are taken off; without adaptation, of predicted scores
            too, which then lie elsewhere.

        Returns
        -------
        ndarray of shape (n_paths, n_rows)
            Cosine of the observed and the predicted deviation from the mean; NaN where somebody
            lacks either flavor.
        """
        latents = self._encode(changes, rows)
        theirs = {} if changes.means else self._encode(changes, fitted_on)
        likeness = []
        for source, target in paths:
            predicted = self._decode(changes, target, latents[source])
            if changes.means:
                observed = self.adapted[target][rows] - changes.means[target]
            else:
                observed = self.raw[target][rows] - _mean(self.raw[target][fitted_on])
                predicted = predicted - _mean(self._decode(changes, target, theirs[source]))
            likeness.append(_cosine(observed, predicted))
        return np.stack(likeness)

    def list_candidates(self, rung: str, rows: Rows, lower: Changes) -> dict[str, Changes]:
        """Fit a rung on some subjects with every strength, the one that adds nothing first.

        Parameters
        ----------
        rung : str
            One of the last three of :data:`RUNGS`.
        rows : ndarray of bool, shape (n_subjects,)
        lower : Changes
            Of the rung below, fitted on the same subjects.
        """
        found = {UNCHANGED: lower}
        if rung == LATENT_MAP and self.can_turn:
            found |= self._fit_turns(rows, lower)
        if rung == DECODER_BIAS and self.can_decode:
            found |= self._fit_biases(rows, lower)
        if rung == DECODER and self.can_decode:
            found |= self._fit_decoders(rows, lower)
        return found

    def _fit_turns(self, rows: Rows, lower: Changes) -> Iterator[tuple[str, Changes]]:
        """Turn one modality's latents into the other's, about the mean latent.

        With centered latents ``X`` and ``Y`` of the two modalities, the orthogonal matrix that
        minimises ``|Y - X A|² + hold |A - I|²`` is the polar factor of ``X'Y + hold I``; its
        ``rank`` strongest directions alone turn what lies in them, and nothing else.
        """
        latents = self._encode(lower, rows)
        by_group = [
            np.stack([z for name, z in latents.items() if is_moved(name) is moved])
            for moved in (True, False)
        ]
        present = [np.asarray(np.isfinite(z).all(axis=2), np.bool_) for z in by_group]
        both = np.asarray(present[0].any(axis=0) & present[1].any(axis=0), np.bool_)
        x, y = (
            np.nansum(z[:, both] - _mean_rows(z), axis=0) / one[:, both].sum(axis=0)[:, None]
            for z, one in zip(by_group, present, strict=True)
        )
        axis = np.mean([_mean_rows(z).mean(axis=0)[0] for z in by_group], axis=0)
        size = np.linalg.norm(axis)
        axis = axis / size if self.network.architecture.latent_normalize and size else axis * 0
        covariance = _without(x, axis).T @ _without(y, axis)
        u, strengths, v = np.linalg.svd(covariance)
        if not strengths[0] > 0:  # nobody has both modalities
            return
        for hold in HOLDS:
            for rank in sorted({r for r in (*RANKS, len(u)) if r <= min(len(x), len(u))}):
                parts = (u[:, :rank], strengths[:rank], v[:rank])
                turn = _turn(*parts, hold=hold * float(strengths[0]))
                yield f"rank {rank}, hold {hold:g}", replace(lower, turn=turn)

    def _fit_biases(self, rows: Rows, lower: Changes) -> Iterator[tuple[str, Changes]]:
        latents = self._encode(lower, rows)
        means = {
            name: self._collect(lower, name, latents, rows)[1].mean(axis=0) for name in latents
        }
        for share in BIAS_SHARES:
            yield (
                f"share {share:g}",
                replace(lower, biases={name: share * mean for name, mean in means.items()}),
            )

    def _fit_decoders(self, rows: Rows, lower: Changes) -> Iterator[tuple[str, Changes]]:
        """Ridge regression of the errors on the last layers' inputs, all sources together."""
        latents = self._encode(lower, rows)
        by_hold: list[tuple[dict[str, Matrix], dict[str, Matrix]]] = [
            ({}, {}) for _ in DECODER_HOLDS
        ]
        for name in latents:
            features, errors = self._collect(lower, name, latents, rows)
            if not len(errors):
                continue
            mean_f, mean_e = features.mean(axis=0), errors.mean(axis=0)
            centered = features - mean_f
            values, vectors = np.linalg.eigh(centered.T @ centered)
            turned = vectors.T @ (centered.T @ (errors - mean_e))
            for hold, (weights, biases) in zip(DECODER_HOLDS, by_hold, strict=True):
                penalty = hold * max(float(values.mean()), 1e-12)
                weights[name] = vectors @ (turned / (values + penalty)[:, None])
                biases[name] = lower.biases.get(name, 0.0) + mean_e - mean_f @ weights[name]
        for hold, (weights, biases) in zip(DECODER_HOLDS, by_hold, strict=True):
            yield f"hold {hold:g}", replace(lower, weights=weights, biases=biases)

    def _collect(
        self, changes: Changes, target: str, latents: Mapping[str, Matrix], rows: Rows
    ) -> tuple[Matrix, Matrix]:
        """Collect the inputs of a decoder's last layer and its errors, of all sources."""
        observed = self.adapted[target][rows] - changes.means[target]
        features, errors = [], []
        for z in latents.values():
            both = np.isfinite(z).all(axis=1) & np.isfinite(observed).all(axis=1)
            own = self._features(changes, target, z[both])
            features.append(own)
            errors.append(observed[both] - self._finish(changes, target, own))
        return np.concatenate(features), np.concatenate(errors)

    def _encode(self, changes: Changes, rows: Rows) -> dict[str, Matrix]:
        """Latents ``[n_rows, n_latent]`` of every flavor, SC ones turned."""
        found = {}
        for name in self.raw:
            own = self.raw[name][rows]
            if changes.means:
                own = self.adapted[name][rows] - changes.means[name]
            first = self.network.linears(f"encoders.{name}")[0]
            latents = self._layers.encode(name, np.asarray(first(own), np.float32))
            found[name] = latents.astype(np.float64)
            if changes.turn is not None and is_moved(name):
                found[name] = found[name] @ changes.turn
        return found

    def _decode(self, changes: Changes, target: str, latents: Matrix) -> Matrix:
        return self._finish(changes, target, self._features(changes, target, latents))

    def _features(self, changes: Changes, target: str, latents: Matrix) -> Matrix:
        if changes.turn is not None and is_moved(target):
            latents = latents @ changes.turn.T
        if self._layers.is_plain:
            return latents
        hidden = to_numpy(self._layers.decode(target, latents))[: len(latents)]
        return np.asarray(hidden, np.float64)

    def _finish(self, changes: Changes, target: str, features: Matrix) -> Matrix:
        given = np.asarray(self._last(target)(features), np.float64)
        if target in changes.weights:
            given = given + features @ changes.weights[target]
        return given + changes.biases.get(target, 0.0)

    def _last(self, name: str) -> Linear:
        return self.network.linears(f"decoders.{name}")[-1]


def _mean(scores: Matrix) -> Matrix:
    """Mean of the subjects who have a flavor; 0 where nobody has."""
    present = scores[np.isfinite(scores).all(axis=1)]
    return present.mean(axis=0) if len(present) else np.zeros(scores.shape[1])


def _mean_rows(latents: Matrix) -> Matrix:
    """Mean over subjects of each flavor's latents ``[n_flavors, 1, n_latent]``."""
    return np.stack([_mean(z) for z in latents])[:, None]


def _without(rows: Matrix, axis: Matrix) -> Matrix:
    return rows - np.outer(rows @ axis, axis)


def _turn(u: Matrix, strengths: Matrix, v: Matrix, *, hold: float) -> Matrix:
    """Polar factor of ``u diag(strengths) v + hold I``, in the directions where it is no identity.

    Parameters
    ----------
    u : ndarray of shape (n_latent, rank)
    strengths : ndarray of shape (rank,)
    v : ndarray of shape (rank, n_latent)
    """
    basis = np.linalg.qr(np.hstack([u, v.T]))[0]
    inside = (basis.T @ u * strengths) @ (v @ basis) + hold * np.eye(basis.shape[1])
    left, _, right = np.linalg.svd(inside)
    turned = left @ right - np.eye(len(inside))
    return np.asarray(np.eye(len(u)) + basis @ turned @ basis.T)


def _cosine(x: Matrix, y: Matrix) -> Matrix:
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    products = np.einsum("nk,nk->n", x, y)
    return np.asarray(products / np.where(lengths > 0, lengths, 1.0), np.float64)
