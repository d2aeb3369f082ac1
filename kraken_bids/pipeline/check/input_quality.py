"""Quality of measured connectomes as inputs of the model: what is unusual about each file."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.io.records import column
from kraken_bids.pipeline.check.cohort_scores import CrossModalScore
from kraken_bids.pipeline.check.encoded_inputs import Encoded, InputView, recall_views
from kraken_bids.pipeline.check.kept_results import NOTHING_KEPT, Kept
from kraken_bids.scores.doubt_words import COMMON
from kraken_bids.scores.latent_consistency import MIN_FIT, LatentFit, judge_latents
from kraken_bids.scores.novelty import FAR_Z, measure_distances

logger = logging.getLogger(__name__)

MANY_INCONSISTENT = 3
MIN_SEEN = 0.05
"""A connectome of which the model sees less than this share is no input that says much."""
MANY_SHARE = 1 / 4
"""So many of a flavor's files, and such a share of them, do not misfit by their own fault."""


@dataclass(frozen=True)
class Conclusion:
    """What to make of one measured connectome as an input of the model."""

    trust: str = column(
        "ok: nothing unusual; check: see note; not seen: less than 5 % of what sets the "
        "connectome apart from the training mean is seen by the model; n/a: too few people to say",
        key="Verdict",
    )
    note: str | None = column("what is unusual, in words")


@dataclass(frozen=True)
class InputQuality:
    """What is known of one measured connectome as an input; None where it cannot be known."""

    outside_share: float | None = column(
        "share of the adapted input's variance around the training mean that the model's "
        "transform does not see"
    )
    outside_share_training: float | None = column(in_table=False)
    outside_ratio: float | None = column(
        "that share over the share of the training data; new people are above 1"
    )
    input_distance: float | None = column(
        "distance of the adapted input from the training mean; 1 is the root mean square of the "
        "training data"
    )
    latent_fit: float | None = column(
        "log odds that the latent belongs to the session's other latents; below -3 it does not fit"
    )
    latent_rank: int | None = column(
        "rank of the session's own other latents among everyone's, by how well they fit this "
        "file's; 1 is best"
    )
    latent_rank_n: int | None = column("people ranked", key="LatentRankOf")
    latent_best_match: str | None = column(
        "whose other latents fit this file's best among the other people"
    )
    latent_distance: float | None = column(
        "distance of the latent from the cohort's median latent of the flavor"
    )
    latent_distance_z: float | None = column("robust z of that distance; above 5 it is unusual")
    cross_modal: CrossModalScore = field(default_factory=CrossModalScore)
    """Comparison with the prediction from the other modality."""
    outside_z: float | None = None
    """Robust z of the logarithm of the share in the cohort."""
    input_distance_z: float | None = None
    """The same of the distance."""
    fits_elsewhere: bool = False
    """Whether the other latents of the best match fit as one person's files do."""
    swapped_with: str | None = None
    """Whose file fits here, while this one fits there."""
    scans_swapped_with: str | None = None
    """Whose scans of one modality fit those of the other here, while these fit there."""
    is_judged: bool = False
    """Whether the cohort is large enough to call something in it unusual."""
    flavor_note: str = ""
    """What to say of the flavor where many of its files are inconsistent, not of this file."""
    finding: str = ""
    """What was found wrong with the file itself, as of its values and the order of its regions."""
    label: str = field(default="", repr=False)
    """``sub-01``, for words."""

    @property
    def conclusion(self) -> Conclusion:
        """Verdict and note, as files hold them."""
        return Conclusion(self.verdict, self.note or None)

    @property
    def is_inconsistent(self) -> bool:
        """Whether its latent does not belong to the session's other latents."""
        return self.latent_fit is not None and self.latent_fit < MIN_FIT

    @property
    def verdict(self) -> str:
        """``check``, ``not seen``, ``ok``, or ``n/a`` where the cohort is too small to say."""
        if self.note:
            return "check"
        if self.outside_share is not None and self.outside_share > 1 - MIN_SEEN:
            return "not seen"
        return "ok" if self.is_judged else "n/a"

    @property
    def note(self) -> str:
        """What is unusual about the file, in plain words; empty where nothing is."""
        words = (self.finding, self.describe_scans(), self._describe_fit(), self._describe_place())
        return "; ".join(filter(None, words))

    def describe_scans(self) -> str:
        """Say what concerns all the session's files; empty where nothing does."""
        if not self.is_judged or not self.scans_swapped_with:
            return ""
        return (
            f"{self.label}'s structural files do not fit its functional ones; they fit those of "
            f"{self.scans_swapped_with}, and theirs fit here: were scans of the two swapped?"
        )

    def _describe_fit(self) -> str:
        if not self.is_judged or not (self.is_inconsistent or self.swapped_with):
            return ""
        if self.flavor_note and not self.swapped_with:
            return self.flavor_note
        if self.latent_rank == 1:
            return f"agrees little with {self.label}'s other files, though with nobody's more"
        rank = f"rank {self.latent_rank} of {self.latent_rank_n}"
        words = f"does not fit {self.label}'s other files: {rank}"
        if self.swapped_with:
            return (
                f"{words}; it fits {self.swapped_with}'s best, and theirs fits here: were the two "
                "swapped?"
            )
        if self.fits_elsewhere:
            return f"{words}; it fits {self.latent_best_match}'s best"
        return f"{words}, and nobody's well"

    def _describe_place(self) -> str:
        share = f"{self.outside_share or 0:.0%} of its variance lies outside what the model sees"
        claims = (
            (self.outside_z, f"{share}, more than in others"),
            (self.input_distance_z, "it lies farther from the training mean than others"),
            (self.latent_distance_z, "its latent lies far from the cohort's"),
        )
        known = ((z, claim) for z, claim in claims if z is not None)
        return "; ".join(f"{claim} (z = {z:.1f})" for z, claim in known if z > FAR_Z)


def judge_inputs(
    cohort: Encoded, *, correlates: bool = False, kept: Kept = NOTHING_KEPT
) -> dict[tuple[int, Flavor], InputQuality]:
    """Judge every connectome that the model took as an input, and log what is unusual.

    Files are read again, a few at a time, where ``kept`` does not hold what was read of them.
    ``correlates``: each is also compared with its prediction from the other modality. Results are
    by index of the member, and flavor.
    """
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
