"""Quality of measured connectomes as inputs of the model: what is unusual about each file."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.failures import Failure, failing_alone
from kraken_bids.cohort.from_dataset import STAGE
from kraken_bids.cohort.measured_matrices import read_measured
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.cohort.warned import Warned
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation, group_sessions
from kraken_bids.models.krakencoder.fusion import fuse
from kraken_bids.models.krakencoder.input_share import (
    describe_training,
    measure_inputs,
    sees_subspace,
)
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.training_record import TRAINING
from kraken_bids.pipeline.check.kept_results import NOTHING_KEPT, Kept, digest_array
from kraken_bids.scores.doubt_words import COMMON
from kraken_bids.scores.latent_consistency import MIN_FIT, LatentFit, judge_latents
from kraken_bids.scores.novelty import FAR_Z, MIN_LOG_SPREAD, measure_distances, robust_z
from kraken_bids.scores.quality_control import CrossModalScore, InputQuality

logger = logging.getLogger(__name__)

Vector = NDArray[np.float64]

BLOCK = 32
"""Connectomes of one flavor that are in memory at once."""
MANY_INCONSISTENT = 3
MANY_SHARE = 1 / 4
"""So many of a flavor's files, and such a share of them, do not misfit by their own fault."""
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
    """View the inputs of every flavor with latents, or read back what was found before."""
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

    With ``correlates`` each is also compared with its prediction from the other modality.
    """
    reduction = cohort.model.reductions[flavor]
    has_subspace = sees_subspace(reduction)
    other = _fuse_other(cohort, flavor) if correlates else None
    outside, distance, raw, resid = np.full((4, len(cohort.members)), np.nan)
    mean = cohort.model.training_means().get(flavor)
    for rows, edges in _read_blocks(cohort, flavor) if has_subspace or other is not None else ():
        adapted = _adapt(edges, cohort, flavor, rows)
        if has_subspace:
            share = measure_inputs(adapted, reduction)
            outside[rows], distance[rows] = share.outside, share.distance
        if other is not None:
            guess = cohort.model.decode(flavor, other[rows])
            raw[rows] = _correlate(edges, guess)
            if mean is not None:
                resid[rows] = _correlate(adapted - mean, guess - mean)
    number = cohort.model.provenance.get(TRAINING.number_of_subjects)
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
    edges: NDArray[np.float64], cohort: Encoded, flavor: Flavor, rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Edges of some members as they were encoded; NaN of one whose site has no adaptation."""
    if isinstance(cohort.adaptation, SiteAdaptation):
        adapted = np.full_like(edges, np.nan)
        labels = [cohort.members[index].label for index in rows.tolist()]
        for own, places in group_sessions(cohort.adaptation, labels, flavor):
            adapted[places] = own.b0 * edges[places] + own.shift
        return adapted
    fit = cohort.adaptation.flavors.get(flavor) if cohort.adaptation else None
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


def judge_inputs(
    cohort: Encoded,
    *,
    correlates: bool = False,
    kept: Kept = NOTHING_KEPT,
    views: Mapping[Flavor, InputView] | None = None,
) -> dict[tuple[int, Flavor], InputQuality]:
    """Judge every connectome that the model took as an input, and log what is unusual.

    Files are read again, a few at a time, where ``kept`` does not hold what was read of them.
    ``correlates``: each is also compared with its prediction from the other modality. ``views``:
    what :func:`recall_views` has given without that. Results are by index of the member, and
    flavor.
    """
    if views is None or correlates:
        views = recall_views(cohort, kept, correlates=correlates)
    unlike = {
        flavor: _exceeds(view.outside_z) | _exceeds(view.distance_z)
        for flavor, view in views.items()
    }
    subjects = [member.subject for member in cohort.members]
    fits = judge_latents(cohort.latents, subjects, unlike)
    found = {}
    for flavor, rows in cohort.latents.items():
        distance, z = measure_distances(rows)
        common = describe_common(fits[flavor])
        if common:
            logger.warning("%s: %s", flavor, common)
        for index in cohort.list_users(flavor).tolist():
            file = InputQuality(
                **_view_file(views[flavor], index),
                **_describe_fit(fits[flavor], index, cohort),
                latent_distance=_known(distance[index]),
                latent_distance_z=_known(z[index]),
                is_judged=bool(np.isfinite(z[index])),
                flavor_note=common,
                label=cohort.members[index].label,
            )
            finding = cohort.warned.doubt_of(file.label, flavor.name)  # logged before
            found[index, flavor] = replace(file, finding=finding)
            if file.note not in {"", common, file.describe_scans()}:
                logger.warning("%s %s %s", file.label, flavor, file.note)
    for words in dict.fromkeys(file.describe_scans() for file in found.values()):
        if words:
            logger.warning("%s", words)
    return found


def describe_common(fit: LatentFit) -> str:
    """Say that many files of a flavor are inconsistent, other than by a swap; '' where few are."""
    judged = np.isfinite(fit.log_odds)
    n_files = int((judged & (fit.log_odds < MIN_FIT) & (fit.swapped_with < 0)).sum())
    if n_files < max(MANY_INCONSISTENT, MANY_SHARE * judged.sum()):
        return ""
    return f"{n_files} of {judged.sum()} files of this flavor misfit: {COMMON}"


def _view_file(view: InputView, index: int) -> dict[str, Any]:
    outside, training = _known(view.outside[index]), _known(view.outside_training)
    return {
        "outside_share": outside,
        "outside_share_training": training,
        "outside_ratio": None if outside is None or not training else outside / training,
        "outside_z": _known(view.outside_z[index]),
        "input_distance": _known(view.distance[index]),
        "input_distance_z": _known(view.distance_z[index]),
        "cross_modal": CrossModalScore(
            _known(view.correlation[index]), _known(view.correlation_resid[index])
        ),
    }


def _describe_fit(fit: LatentFit, index: int, cohort: Encoded) -> dict[str, Any]:
    if not np.isfinite(fit.rank[index]):
        return {}
    partner, other = fit.swapped_with[index], fit.scans_swapped_with[index]
    return {
        "latent_fit": _known(fit.log_odds[index]),
        "latent_rank": int(fit.rank[index]),
        "latent_rank_n": int(fit.n_ranked[index]),
        "latent_best_match": cohort.members[fit.best[index]].label,
        "fits_elsewhere": bool(fit.best_log_odds[index] > fit.typical / 2),
        "swapped_with": cohort.members[partner].label if partner >= 0 else None,
        "scans_swapped_with": cohort.members[other].label if other >= 0 else None,
    }


def _exceeds(z: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.nan_to_num(z, nan=0.0) > FAR_Z)


def _known(value: float | np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None
