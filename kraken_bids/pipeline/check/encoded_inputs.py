"""What one more reading of a cohort's connectomes says of them as inputs of the model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.failures import Failure, failing_alone
from kraken_bids.cohort.from_dataset import STAGE, Member, read_measured
from kraken_bids.cohort.prediction_plan import PredictionPlan
from kraken_bids.cohort.warned import Warned
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.fusion import fuse
from kraken_bids.models.krakencoder.input_share import (
    describe_training,
    measure_inputs,
    sees_subspace,
)
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.kept_results import Kept, digest_array
from kraken_bids.scores.novelty import MIN_LOG_SPREAD, robust_z

Vector = NDArray[np.float64]

BLOCK = 32
"""Connectomes of one flavor that are in memory at once."""
OTHER_MODALITY = {"FC": "SC", "SC": "FC"}


@dataclass(frozen=True)
class Encoded:
    """A cohort, and how the model encoded it."""

    model: Model
    members: Sequence[Member]
    adaptation: Adaptation | None
    """What was applied before."""
    latents: Mapping[Flavor, NDArray[np.float32]]
    """``[n_members, n_latent]`` of every input flavor; NaN rows for members without it."""
    warned: Warned = field(default_factory=Warned)
    """What was found wrong with them before."""
    failures: list[Failure] = field(default_factory=list)
    """Files that could be read before and no longer can be: filled as they are read again."""

    def list_users(self, flavor: Flavor) -> NDArray[np.intp]:
        """List the indices of the members of whom the model read the flavor."""
        return np.flatnonzero(np.isfinite(self.latents[flavor]).all(axis=1))


def encoded_of(plan: PredictionPlan, members: Sequence[Member]) -> Encoded:
    """Members as the run of a prediction plan encoded them."""
    latents = {
        source.single: source.latents for source in plan.sources if source.single is not None
    }
    return Encoded(plan.model, members, plan.adaptation, latents, plan.warned)


@dataclass(frozen=True)
class InputView:
    """One flavor's connectomes as inputs; arrays are [n_members], NaN where nothing is known."""

    outside: Vector
    """Share of the adapted input's variance that the model's transform does not see."""
    outside_training: float
    """The same of the training data."""
    distance: Vector
    """From the training mean, in root mean squares of the training data's distances."""
    outside_z: Vector
    """Robust z of the logarithm of the share in the cohort."""
    distance_z: Vector
    """The same of the distance, which needs no training data."""
    correlation: Vector
    """Of measured edges with their prediction from the other modality."""
    correlation_resid: Vector
    """The same of adapted edges, less the training mean."""

    def to_plain(self) -> dict[str, object]:
        """Give lists and numbers in place of arrays."""
        return {key: np.asarray(values).tolist() for key, values in vars(self).items()}

    @classmethod
    def from_plain(cls, found: Mapping[str, Any]) -> "InputView":
        """Undo :meth:`to_plain`."""
        values: dict[str, Any] = {
            key: np.array(own, np.float64) if isinstance(own, list) else own
            for key, own in found.items()
        }
        return cls(**values)


def recall_views(cohort: Encoded, kept: Kept, *, correlates: bool) -> dict[Flavor, InputView]:
    """View the inputs of every flavor with latents, or read back what was found before.

    Parameters
    ----------
    cohort : Encoded
    kept : Kept
    correlates : bool
        As of :func:`view_inputs`.
    """
    fits = {} if cohort.adaptation is None else cohort.adaptation.flavors
    adapted = [
        (f.name, fits[f].mode, fits[f].b0, digest_array(np.asarray(fits[f].shift)))
        for f in sorted(set(fits) & set(cohort.latents))
    ]
    latents = [(f.name, digest_array(rows)) for f, rows in sorted(cohort.latents.items())]
    found = kept.recall(
        "inputs",
        [cohort.model.sha256, str(cohort.model.device), adapted, latents, correlates],
        lambda: {
            flavor.name: view_inputs(cohort, flavor, correlates=correlates).to_plain()
            for flavor in cohort.latents
        },
        lacked=cohort.failures,
    )
    return {flavor: InputView.from_plain(found[flavor.name]) for flavor in cohort.latents}


def view_inputs(cohort: Encoded, flavor: Flavor, *, correlates: bool) -> InputView:
    """Read the connectomes of one flavor again, :data:`BLOCK` at a time.

    Parameters
    ----------
    cohort : Encoded
    flavor : Flavor
        One with latents.
    correlates : bool
        Also correlate each connectome with its prediction from the other modality.
    """
    reduction = cohort.model.reductions[flavor]
    has_subspace = sees_subspace(reduction)
    other = _fuse_other(cohort, flavor) if correlates else None
    outside, distance, raw, resid = np.full((4, len(cohort.members)), np.nan)
    mean = cohort.model.training_means().get(flavor)
    for rows, edges in _read_blocks(cohort, flavor) if has_subspace or other is not None else ():
        adapted = _adapt(edges, cohort.adaptation, flavor)
        if has_subspace:
            share = measure_inputs(adapted, reduction)
            outside[rows], distance[rows] = share.outside, share.distance
        if other is not None:
            guess = cohort.model.decode(flavor, other[rows])
            raw[rows] = _correlate(edges, guess)
            if mean is not None:
                resid[rows] = _correlate(adapted - mean, guess - mean)
    number = cohort.model.provenance.get("NumberOfSubjects")
    training = describe_training(reduction, number if isinstance(number, int) else None)
    with np.errstate(divide="ignore"):
        outside_z = robust_z(np.log(outside), min_spread=MIN_LOG_SPREAD)
        distance_z = robust_z(np.log(distance), min_spread=MIN_LOG_SPREAD)
    return InputView(
        outside, training.outside, distance / training.distance, outside_z, distance_z, raw, resid
    )


def _read_blocks(
    cohort: Encoded, flavor: Flavor
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Members of whom the model read a flavor, and their edges, a block at a time."""
    users, n_edges = cohort.list_users(flavor), cohort.model.n_edges(flavor)
    for start in range(0, len(users), BLOCK):
        rows, edges = [], []
        for index in users[start : start + BLOCK].tolist():
            member = cohort.members[index]
            with failing_alone(
                cohort.failures, subject=member.subject, session=member.session, stage=STAGE
            ):
                edges.append(read_measured(member.connectomes[flavor], flavor, n_edges).edges)
                rows.append(index)
        if rows:
            yield np.array(rows, np.intp), np.stack(edges)


def _adapt(
    edges: NDArray[np.float64], adaptation: Adaptation | None, flavor: Flavor
) -> NDArray[np.float64]:
    fit = adaptation.flavors.get(flavor) if adaptation else None
    return edges if fit is None else np.asarray(fit.b0 * edges + fit.shift)


def _fuse_other(cohort: Encoded, flavor: Flavor) -> NDArray[np.float32] | None:
    """Fused latents of the modality that a flavor is not of; None where nobody has any."""
    group = OTHER_MODALITY[flavor.group]
    other = {f: rows for f, rows in cohort.latents.items() if f.group == group}
    return fuse(other) if other else None


def _correlate(a: NDArray[np.floating], b: NDArray[np.floating]) -> Vector:
    """Correlate the rows of two arrays over the edges that both have; NaN without variance."""
    both = np.isfinite(a) & np.isfinite(b)
    counts = np.maximum(both.sum(axis=1, keepdims=True), 1)
    x, y = (
        np.where(both, v - np.where(both, v, 0).sum(axis=1, keepdims=True) / counts, 0)
        for v in (a.astype(np.float64), b.astype(np.float64))
    )
    length = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    r: Vector = np.where(length > 0, (x * y).sum(axis=1) / np.where(length > 0, length, 1), np.nan)
    return r
