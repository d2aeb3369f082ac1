"""How far to trust the predictions of each session: what is unusual about each of its files."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.pipeline.check.encoded_inputs import Encoded, InputView, recall_views
from kraken_bids.pipeline.check.kept_results import NOTHING_KEPT, Kept
from kraken_bids.scores.doubt_words import COMMON
from kraken_bids.scores.latent_consistency import MIN_FIT, LatentFit, judge_latents
from kraken_bids.scores.novelty import FAR_Z, measure_distances

logger = logging.getLogger(__name__)

MANY_MISFITS = 3
MIN_SEEN = 0.05
"""A connectome of which the model sees less than this share is no input that says much."""
MANY_SHARE = 1 / 4
"""So many of a flavor's files, and such a share of them, do not misfit by their own fault."""


@dataclass(frozen=True)
class FileTrust:
    """What is known of one measured connectome as an input; None where it cannot be known."""

    outside: float | None = None
    """Share of the adapted input's variance that the model's transform does not see."""
    outside_training: float | None = None
    """The same of the training data."""
    outside_z: float | None = None
    """Robust z of its logarithm in the cohort."""
    distance: float | None = None
    """From the training mean, in root mean squares of the training data's distances."""
    distance_z: float | None = None
    """Robust z of its logarithm in the cohort."""
    fit: float | None = None
    """Log odds that the latent belongs to the session's other latents."""
    rank: int | None = None
    """Of the session's own other latents among everyone's; 1 is best."""
    n_ranked: int | None = None
    best_match: str | None = None
    """Whose other latents fit best among the other people."""
    fits_elsewhere: bool = False
    """Whether those fit as one person's files do."""
    swapped_with: str | None = None
    """Whose file fits here, while this one fits there."""
    scans_swapped_with: str | None = None
    """Whose scans of one modality fit those of the other here, while these fit there."""
    latent_distance: float | None = None
    """Of the latent from the cohort's median latent."""
    latent_z: float | None = None
    """Robust z of it."""
    correlation: float | None = None
    """Of the measured edges with their prediction from the other modality."""
    correlation_resid: float | None = None
    """The same less the training mean, of the adapted edges."""
    is_judged: bool = False
    """Whether the cohort is large enough to call something in it unusual."""
    common_misfit: str = ""
    """What to say of the flavor where many of its files misfit, in place of this file."""
    doubt: str = ""
    """What was found wrong with the file itself, as of its values and the order of its regions."""
    label: str = field(default="", repr=False)
    """``sub-01``, for words."""

    @property
    def outside_ratio(self) -> float | None:
        """Share outside against what training data leave there."""
        if self.outside is None or not self.outside_training:
            return None
        return self.outside / self.outside_training

    @property
    def misfits(self) -> bool:
        """Whether its latent does not belong to the session's other latents."""
        return self.fit is not None and self.fit < MIN_FIT

    @property
    def verdict(self) -> str:
        """``check``, ``not seen``, ``ok``, or ``n/a`` where the cohort is too small to say."""
        if self.note:
            return "check"
        if self.outside is not None and self.outside > 1 - MIN_SEEN:
            return "not seen"
        return "ok" if self.is_judged else "n/a"

    @property
    def note(self) -> str:
        """What is unusual about the file, in plain words; empty where nothing is."""
        words = (self.doubt, self.describe_scans(), self._describe_fit(), self._describe_place())
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
        if not self.is_judged or not (self.misfits or self.swapped_with):
            return ""
        if self.common_misfit and not self.swapped_with:
            return self.common_misfit
        if self.rank == 1:
            return f"agrees little with {self.label}'s other files, though with nobody's more"
        words = f"does not fit {self.label}'s other files: rank {self.rank} of {self.n_ranked}"
        if self.swapped_with:
            return (
                f"{words}; it fits {self.swapped_with}'s best, and theirs fits here: were the two "
                "swapped?"
            )
        if self.fits_elsewhere:
            return f"{words}; it fits {self.best_match}'s best"
        return f"{words}, and nobody's well"

    def _describe_place(self) -> str:
        words = []
        if _is_high(self.outside_z):
            words.append(
                f"{self.outside:.0%} of its variance lies outside what the model sees, more than "
                f"in others (z = {self.outside_z:.1f})"
            )
        if _is_high(self.distance_z):
            words.append(
                f"it lies farther from the training mean than others (z = {self.distance_z:.1f})"
            )
        if _is_high(self.latent_z):
            words.append(f"its latent lies far from the cohort's (z = {self.latent_z:.1f})")
        return "; ".join(words)


def judge_files(
    cohort: Encoded, *, correlates: bool = False, kept: Kept = NOTHING_KEPT
) -> dict[tuple[int, Flavor], FileTrust]:
    """Judge every connectome that the model took as an input, and log what is unusual.

    Parameters
    ----------
    cohort : Encoded
        Its files are read again, a few at a time.
    correlates : bool
        Also correlate each connectome with its prediction from the other modality.
    kept : Kept, optional
        Where what was read of the same files may be found.

    Returns
    -------
    dict
        By index of the member, and flavor.
    """
    views = recall_views(cohort, kept, correlates=correlates)
    suspects = {
        flavor: _exceeds(view.outside_z) | _exceeds(view.distance_z)
        for flavor, view in views.items()
    }
    people = [member.subject for member in cohort.members]
    fits = judge_latents(cohort.latents, people, suspects)
    trust = {}
    for flavor, rows in cohort.latents.items():
        distance, z = measure_distances(rows)
        common = describe_common(fits[flavor])
        if common:
            logger.warning("%s: %s", flavor, common)
        for index in cohort.list_users(flavor).tolist():
            known = _view_file(views[flavor], index) | _describe_fit(fits[flavor], index, cohort)
            file = FileTrust(
                **known,
                latent_distance=_known(distance[index]),
                latent_z=_known(z[index]),
                is_judged=bool(np.isfinite(z[index])),
                common_misfit=common,
                label=cohort.members[index].label,
            )
            doubt = cohort.warned.doubt_of(file.label, flavor.name)  # logged before
            trust[index, flavor] = replace(file, doubt=doubt)
            if file.note not in {"", common, file.describe_scans()}:
                logger.warning("%s %s %s", file.label, flavor, file.note)
    for words in dict.fromkeys(file.describe_scans() for file in trust.values()):
        if words:
            logger.warning("%s", words)
    return trust


def describe_common(fit: LatentFit) -> str:
    """Say that many files of a flavor misfit, other than by a swap; empty where few do.

    Many are :data:`MANY_MISFITS` and :data:`MANY_SHARE` of those judged: so many people's files
    are not wrong at once.
    """
    judged = np.isfinite(fit.log_odds)
    n_misfits = int((judged & (fit.log_odds < MIN_FIT) & (fit.swapped_with < 0)).sum())
    if n_misfits < max(MANY_MISFITS, MANY_SHARE * judged.sum()):
        return ""
    return f"{n_misfits} of {judged.sum()} files of this flavor misfit: {COMMON}"


def _view_file(view: InputView, index: int) -> dict[str, Any]:
    return {
        "outside": _known(view.outside[index]),
        "outside_training": _known(view.outside_training),
        "outside_z": _known(view.outside_z[index]),
        "distance": _known(view.distance[index]),
        "distance_z": _known(view.distance_z[index]),
        "correlation": _known(view.correlation[index]),
        "correlation_resid": _known(view.correlation_resid[index]),
    }


def _describe_fit(fit: LatentFit, index: int, cohort: Encoded) -> dict[str, Any]:
    if not np.isfinite(fit.rank[index]):
        return {}
    partner, other = fit.swapped_with[index], fit.scans_swapped_with[index]
    return {
        "fit": _known(fit.log_odds[index]),
        "rank": int(fit.rank[index]),
        "n_ranked": int(fit.n_ranked[index]),
        "best_match": cohort.members[fit.best[index]].label,
        "fits_elsewhere": bool(fit.best_log_odds[index] > fit.typical / 2),
        "swapped_with": cohort.members[partner].label if partner >= 0 else None,
        "scans_swapped_with": cohort.members[other].label if other >= 0 else None,
    }


def _exceeds(z: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.nan_to_num(z, nan=0.0) > FAR_Z)


def _is_high(z: float | None) -> bool:
    return z is not None and z > FAR_Z


def _known(value: float | np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None
