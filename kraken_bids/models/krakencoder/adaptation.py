"""Domain adaptation: one affine map per input flavor from a cohort to the training domain.

It is fitted on mean connectomes alone. It can be applied to edges here, or after projection
(``Model.adapt_projected``), because it precedes an affine map.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError, ConnectomeError, SettingsError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.devices import CPU, run_parts
from kraken_bids.scores.doubt_words import log_doubts
from kraken_bids.scores.likeness import judge_mean

Array = NDArray[np.float32]

MODES = ("none", "meanshift", "meanfit", "meanfit+meanshift")
DEFAULT_MODE = "meanfit+meanshift"
MIN_SUBJECTS = 10
"""Subjects from which an adaptation is fitted unless fewer are asked for."""
ALIASES = {"meanfitshift": "meanfit+meanshift", "meanshift+meanfit": "meanfit+meanshift"}


@dataclass(frozen=True)
class FlavorAdaptation:
    """``x_adapted = b0 * x + shift``, fitted for one flavor."""

    mode: str
    """One of :data:`MODES`."""
    mean_new: Array
    """Mean connectome of the new cohort ``[n_edges]``, in edge units."""
    training_mean: Array
    """Mean connectome of the model's training subjects ``[n_edges]``."""
    b0: float
    """Slope of the training mean on the new mean; 1 for none and meanshift."""
    b1: float
    """Intercept of that fit; 0 for none and meanshift."""
    r2: float
    """Squared correlation of the fitted line (or of ``mean_new``) with the training mean."""
    n_subjects: int
    """Subjects in ``mean_new``, sessions together; 0 where that is not known (a given mean)."""

    @property
    def n_of_training(self) -> int:
        """Edges whose mean is that of training, since the cohort does not say its own."""
        return int(np.count_nonzero(self.mean_new == self.training_mean))

    @property
    def shift(self) -> NDArray[np.float64] | float:
        """What is added after scaling by ``b0``: ``[n_edges]`` or one number."""
        if self.mode == "none":
            return 0.0
        if self.mode == "meanfit":
            return self.b1
        return np.asarray(
            self.training_mean.astype(np.float64) - self.b0 * self.mean_new.astype(np.float64),
            np.float64,
        )


@dataclass(frozen=True)
class Adaptation:
    """What adapts one cohort to one model, flavor by flavor."""

    model_sha256: str
    """Identity of the model that it was fitted for."""
    mode: str
    """One of :data:`MODES`."""
    flavors: Mapping[Flavor, FlavorAdaptation]
    """Flavors that are not in here cannot be inputs beside it: see :meth:`of`."""

    def of(self, flavor: Flavor) -> FlavorAdaptation | None:
        """Give what adapts a flavor; None for the mode ``none``.

        Raises
        ------
        CheckpointError
            If it lacks the flavor, which unadapted would be another kind of input than the rest.
        """
        check_covers(self, (flavor,))
        return self.flavors.get(flavor)

    def of_session(self, label: str) -> "Adaptation | None":  # noqa: ARG002 - by site there is
        """Give what adapts a session, by its label: this one, whoever it is."""
        return self


def parse_mode(text: str) -> str:
    """Adaptation mode of a text, aliases resolved.

    Raises
    ------
    SettingsError
        If it is unknown.
    """
    mode = ALIASES.get(text.lower(), text.lower())
    if mode not in MODES:
        raise SettingsError(
            f"expected an adaptation mode among {', '.join(MODES)}; found {text!r}."
        )
    return mode


def fit_adaptation(
    means: Mapping[Flavor, tuple[NDArray[np.floating], int]]
    | Mapping[str, tuple[NDArray[np.floating], int]],
    training_means: Mapping[Flavor, NDArray[np.floating]],
    mode: str = "meanfit+meanshift",
    *,
    model_sha256: str = "",
    judges: bool = True,
) -> Adaptation:
    """Fit the adaptation of a cohort from its mean connectomes.

    A mean that does not resemble the training mean, or does so in another order of regions or
    edges only, is logged as a warning. The number of subjects is not judged: whoever calls this
    asks for this mean. The mean of a few is mostly their own; ``kraken-bids``, ``kraken-tools
    predict`` and :class:`kraken_bids.KrakenEncoder` take 10 subjects of a flavor unless told
    otherwise.

    Parameters
    ----------
    means : mapping of Flavor or str to (ndarray of shape (n_edges,), int)
        By flavor, or its id. Mean connectome of the new cohort, and the number of subjects in it.
        Where they have several sessions, average those of each subject first.
    training_means : mapping of Flavor to ndarray of shape (n_edges,)
        :meth:`kraken_bids.models.krakencoder.model.Model.training_means`.
    mode : str
        One of :data:`MODES` or an alias.
    model_sha256 : str
        Identity of the model.
    judges : bool
        False where the connectomes have been judged before.

    Raises
    ------
    CheckpointError
        If the model keeps no training mean of a flavor, unless the mode is ``none``.
    ConnectomeError
        If a mean is not finite, does not vary over edges, or has another length than the
        training mean.
    SettingsError
        If the mode is unknown.

    Source: Jamison et al. 2025, Methods, and the behaviour of the reference release, which fits on
    the mean of all subjects.
    """
    mode = parse_mode(mode)
    by_flavor = {parse_flavor(str(flavor)): given for flavor, given in means.items()}
    if mode != "none":
        _check_means(by_flavor, training_means)

    def fit(flavor: Flavor) -> FlavorAdaptation:
        mean, n = by_flavor[flavor]
        return _fit_flavor(flavor, mean, training_means[flavor], mode=mode, n_subjects=n)

    flavors = [flavor for flavor in by_flavor if flavor in training_means]
    fitted = dict(zip(flavors, run_parts(fit, flavors, CPU), strict=True))
    for flavor, (mean, _) in by_flavor.items() if judges else ():
        log_doubts(judge_mean(flavor, np.asarray(mean).reshape(-1), training_means))
    return Adaptation(model_sha256, mode, fitted)


def apply_adaptation(
    edges: NDArray[np.floating], adaptation: FlavorAdaptation | None
) -> NDArray[np.floating]:
    """Adapted edges ``[n_subjects, n_edges]``; unchanged without an adaptation."""
    if adaptation is None or adaptation.mode == "none":
        return edges
    adapted = edges * np.asarray(adaptation.b0, edges.dtype)
    adapted += np.asarray(adaptation.shift, edges.dtype)
    return np.asarray(adapted)


def check_adaptation(
    adaptation: Adaptation, model_sha256: str, sizes: Mapping[Flavor, int] = MappingProxyType({})
) -> None:
    """Check that an adaptation was fitted for this model.

    Parameters
    ----------
    model_sha256 : str
        Identity of the model.
    sizes : mapping of Flavor to int, optional
        Its number of edges of each flavor.

    Raises
    ------
    CheckpointError
        If it was fitted for another one, or its means have other lengths.
    """
    if adaptation.model_sha256 and adaptation.model_sha256 != model_sha256:
        raise CheckpointError(
            f"expected an adaptation fitted for this model (SHA-256 {model_sha256[:12]}…); "
            f"found one fitted for another (SHA-256 {adaptation.model_sha256[:12]}…). Fit it "
            "anew, or give the model it belongs to."
        )
    check_lengths(adaptation, sizes)


def check_lengths(adaptation: Adaptation, sizes: Mapping[Flavor, int]) -> None:
    """Raise CheckpointError if a mean has not as many edges as the model of its flavor."""
    for flavor, fit in adaptation.flavors.items():
        size = sizes.get(flavor, fit.mean_new.size)
        if fit.mean_new.size != size:
            raise CheckpointError(
                f"expected an adaptation of means of {size} edges for {flavor}; found "
                f"{fit.mean_new.size}. The file is damaged: fit the adaptation anew (run the "
                "group level again)."
            )


def list_lacking(adaptation: Adaptation | None, flavors: Iterable[Flavor]) -> list[Flavor]:
    """List those of some input flavors that an adaptation lacks, in order."""
    if adaptation is None or adaptation.mode == "none":
        return []
    return sorted(set(flavors) - set(adaptation.flavors))


def check_covers(adaptation: Adaptation | None, flavors: Iterable[Flavor]) -> None:
    """Check that an adaptation has all input flavors, so that none is taken unadapted.

    Raises
    ------
    CheckpointError
        If it lacks one. The reference release raises as well.
    """
    lacking = list_lacking(adaptation, flavors)
    if adaptation is not None and lacking:
        names = ", ".join(flavor.name for flavor in lacking)
        has = ", ".join(flavor.name for flavor in sorted(adaptation.flavors)) or "no flavor"
        raise CheckpointError(
            f"expected an adaptation of every input flavor; found none of {names} (it has {has}). "
            "An input that is not adapted does not fit those that are: leave it out of the "
            "inputs, or fit the adaptation on people who have it too."
        )


def _fit_flavor(
    flavor: Flavor,
    mean_new: NDArray[np.floating],
    training_mean: NDArray[np.floating],
    *,
    mode: str,
    n_subjects: int,
) -> FlavorAdaptation:
    x, y = (
        np.asarray(mean_new, np.float64).reshape(-1),
        np.asarray(training_mean, np.float64).reshape(-1),
    )
    if x.shape != y.shape or not np.isfinite(x).all() or np.ptp(x) == 0:
        raise ConnectomeError(
            f"{flavor}: expected a mean connectome of {y.size} finite edges that vary, to fit "
            f"the adaptation; found {x.size} edges, {int((~np.isfinite(x)).sum())} of them not "
            f"finite, range {np.ptp(x) if x.size else 0:g}. Check the connectomes of this "
            "flavor."
        )
    correlation = float(np.corrcoef(x, y)[0, 1])
    b0, b1 = 1.0, 0.0
    if mode.startswith("meanfit"):
        b0, b1 = (
            float(b) for b in np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y, rcond=None)[0]
        )
    return FlavorAdaptation(
        mode, x.astype(np.float32), y.astype(np.float32), b0, b1, correlation**2, n_subjects
    )


def _check_means(wanted: Iterable[Flavor], training_means: Iterable[Flavor]) -> None:
    lacking = sorted(set(wanted) - set(training_means))
    if lacking:
        raise CheckpointError(
            f"expected transforms that keep the mean of their training connectomes, to adapt to; "
            f"the model has none for {', '.join(flavor.name for flavor in lacking)}. Leave these "
            "inputs out, or predict without adaptation (mode none)."
        )
