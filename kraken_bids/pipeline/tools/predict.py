"""Prediction from connectome files: read, adapt, encode, fuse, decode."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError, FlavorError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.model.adaptation import (
    Adaptation,
    check_adaptation,
    fit_adaptation,
    read_adaptation,
    write_adaptation,
)
from kraken_bids.model.fusion import Selector, fuse, list_excluded, parse_selectors
from kraken_bids.model.load import load_model
from kraken_bids.model.predict import Model
from kraken_bids.pipeline.cohort import fill_missing
from kraken_bids.pipeline.tools.connectome_files import read_connectomes
from kraken_bids.pipeline.tools.connectome_parts import Connectomes
from kraken_bids.pipeline.tools.prediction_files import ARROW, ENCODED, SUBJECTS

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]

AUTO = "auto"
DEFAULT_MODE = "meanfit+meanshift"
DEFAULT_SOURCES = ("fusion", "fusionSC", "fusionFC")
MIN_SUBJECTS = 10


@dataclass(frozen=True)
class PredictionOptions:
    """What to predict from connectome files, and how."""

    adaptation_mode: str = AUTO
    """A mode, or ``auto``: the published one where there are at least 10 subjects, else none."""
    adaptation: Path | None = None
    """A saved adaptation, in place of fitting one."""
    adaptation_sources: tuple[str, ...] = ()
    """Connectome files of the cohort whose mean is fitted; the inputs themselves by default."""
    save_adaptation: Path | None = None
    """Where to keep the fitted adaptation."""
    fusions: tuple[str, ...] = ()
    """Further fusions, ``NAME=SELECTOR``; each becomes a source."""
    exclude_self: bool = False
    """Add sources ``NAME.noself``: fusions without the flavor to predict."""
    exclude_atlas: bool = False
    """Add sources ``NAME.noatlas``: fusions without the parcellation to predict."""
    renormalize_fusion: bool = False
    """Scale fused latents to unit length."""
    sources: tuple[str, ...] = ()
    """Sources; ``fusion fusionSC fusionFC`` by default, of which the inputs may lack some."""
    targets: tuple[str, ...] = ()
    """Flavors to predict, or patterns of them; all of the model by default."""

    def __post_init__(self) -> None:
        """Check that the adaptation is asked for in one way only."""
        if self.adaptation and (self.adaptation_sources or self.adaptation_mode not in {AUTO}):
            raise SettingsError(
                "expected either --adaptation FILE, which has its mode and cohort, or "
                "--adaptation-mode and --adaptation-source to fit one; found both. Leave one "
                "out."
            )


def predict_files(
    inputs: Sequence[str],
    model: Path | str,
    options: PredictionOptions | None = None,
    *,
    transforms: Sequence[Path] = (),
    device: str = AUTO,
) -> dict[str, NDArray[Any]]:
    """Latents and predicted connectomes of connectome files.

    Parameters
    ----------
    inputs : sequence of str
        As :func:`kraken_bids.pipeline.tools.connectome_files.read_connectomes` takes them.
    model : Path or str
        As :func:`kraken_bids.model.load.load_model` takes it, with ``transforms`` and ``device``.
    options : PredictionOptions, optional

    Returns
    -------
    dict of str to ndarray
        ``SOURCE->TARGET`` [n_subjects, n_edges], ``SOURCE->encoded`` [n_subjects, n_latent] of
        every input flavor and every source, and ``subjects``.

    Raises
    ------
    KrakenBidsError
        As the stages do: files, flavors, numbers, model.
    """
    options = options or PredictionOptions()
    loaded = load_model(model, transforms=transforms, device=device)
    connectomes = _keep_known(read_connectomes(inputs), loaded)
    targets = select_targets(options.targets, loaded)
    selectors = _select_sources(options, connectomes.edges)
    adaptation = _choose_adaptation(options, connectomes, loaded)
    latents = {
        flavor: loaded.encode(flavor, _fill_rows(flavor, edges, loaded, adaptation), adaptation)
        for flavor, edges in connectomes.edges.items()
    }
    arrays: dict[str, NDArray[Any]] = {
        f"{flavor.name}{ARROW}{ENCODED}": latent for flavor, latent in latents.items()
    }
    for selector in selectors:
        arrays |= _predict_source(selector, latents, loaded, targets=targets, options=options)
    arrays[SUBJECTS] = np.array(connectomes.subjects)
    return arrays


def select_targets(patterns: Iterable[str], model: Model) -> tuple[Flavor, ...]:
    """Flavors of the model that any of the patterns names; all without patterns.

    Raises
    ------
    FlavorError
        If a pattern names none.
    """
    chosen: dict[Flavor, None] = {}
    for pattern in patterns:
        found = [
            f for f in model.flavors if fnmatchcase(f.name, pattern.replace("sift2count", "sift2"))
        ]
        if not found:
            raise FlavorError(
                f"expected targets among the flavors of {model.name} "
                f"({', '.join(f.name for f in model.flavors)}); found {pattern!r}."
            )
        chosen |= dict.fromkeys(found)
    return tuple(chosen) or model.flavors


def _keep_known(connectomes: Connectomes, model: Model) -> Connectomes:
    known = {
        flavor: edges for flavor, edges in connectomes.edges.items() if flavor in model.reductions
    }
    left_out = sorted(flavor.name for flavor in set(connectomes.edges) - set(known))
    if not known:
        raise FlavorError(
            f"expected inputs among the flavors of {model.name} "
            f"({', '.join(f.name for f in model.flavors)}); found {', '.join(left_out)}."
        )
    if left_out:
        logger.warning(
            "the model has no flavor %s: these inputs are not used", ", ".join(left_out)
        )
    return Connectomes(connectomes.subjects, known)


def _select_sources(options: PredictionOptions, flavors: Iterable[Flavor]) -> tuple[Selector, ...]:
    named = [text.partition("=")[0] for text in options.fusions]
    asked = [text for text in options.sources or DEFAULT_SOURCES if text not in named]
    return parse_selectors(
        [*asked, *options.fusions], tuple(flavors), skip_empty=not options.sources
    )


def _choose_adaptation(
    options: PredictionOptions, connectomes: Connectomes, model: Model
) -> Adaptation | None:
    """Adaptation as asked: saved, fitted on another cohort, or fitted on the inputs."""
    if options.adaptation:
        adaptation = read_adaptation(options.adaptation)
        check_adaptation(adaptation, model.sha256)
        return adaptation
    cohort = (
        read_connectomes(options.adaptation_sources) if options.adaptation_sources else connectomes
    )
    mode = options.adaptation_mode
    if mode == AUTO and len(cohort.subjects) < MIN_SUBJECTS:
        logger.warning(
            "%d subjects are too few to fit an adaptation (at least %d): none is applied. Give "
            "--adaptation FILE, --adaptation-source FLAVOR=FILE, or an --adaptation-mode.",
            len(cohort.subjects),
            MIN_SUBJECTS,
        )
        return None
    adaptation = _fit_adaptation(cohort, model, DEFAULT_MODE if mode == AUTO else mode)
    if options.save_adaptation:
        write_adaptation(adaptation, options.save_adaptation)
    return adaptation


def _fit_adaptation(cohort: Connectomes, model: Model, mode: str) -> Adaptation:
    means, training_means = {}, model.training_means()
    for flavor, edges in cohort.edges.items():
        present = edges[~np.isnan(edges).all(axis=1)]
        if len(present) == 1 and mode != "none":
            raise ConnectomeError(
                f"{flavor}: expected several subjects to fit the adaptation {mode}; found one, "
                "whose adapted connectome would be the training mean itself. Use "
                "--adaptation-mode none, or --adaptation-source with a cohort of the same site."
            )
        if len(present):
            means[flavor] = (_mean_edges(present, training_means.get(flavor)), len(present))
    adaptation = fit_adaptation(means, training_means, mode, model_sha256=model.sha256)
    for flavor, fit in adaptation.flavors.items() if mode != "none" else ():
        logger.info(
            "%s: %s, b0 %.3f, b1 %.3f, R2 %.3f, %d subjects",
            flavor, mode, fit.b0, fit.b1, fit.r2, fit.n_subjects,
        )  # fmt: skip
    return adaptation


def _mean_edges(edges: Array, training_mean: Array | None) -> NDArray[np.float64]:
    """Mean over those who have each edge; an edge that nobody has takes the training mean."""
    counts = (~np.isnan(edges)).sum(axis=0)
    mean = np.nansum(edges, axis=0, dtype=np.float64) / np.maximum(counts, 1)
    return mean if training_mean is None else np.where(counts > 0, mean, training_mean)


def _fill_rows(
    flavor: Flavor, edges: Array, model: Model, adaptation: Adaptation | None
) -> NDArray[np.floating]:
    """Edges whose missing regions become the training mean; rows of NaN stay."""
    holes = np.isnan(edges)
    partial = np.flatnonzero(holes.any(axis=1) & ~holes.all(axis=1))
    if not partial.size:
        return edges
    fit = adaptation.flavors.get(flavor) if adaptation else None
    filled = edges.astype(np.float64)
    filled[partial] = fill_missing(filled[partial], model.training_means().get(flavor), fit)
    return filled


def _predict_source(
    selector: Selector,
    latents: Mapping[Flavor, Array],
    model: Model,
    *,
    targets: Sequence[Flavor],
    options: PredictionOptions,
) -> dict[str, Array]:
    renormalize = options.renormalize_fusion and selector.is_fusion
    fused = fuse(latents, selector, renormalize=renormalize)
    single = None if selector.is_fusion else selector.flavors[0]
    arrays = {f"{selector.name}{ARROW}{ENCODED}": fused}
    for target in targets:
        arrays[f"{selector.name}{ARROW}{target.name}"] = model.decode(target, fused, source=single)
    variants = {"noself": options.exclude_self, "noatlas": options.exclude_atlas}
    for variant in (name for name, wanted in variants.items() if wanted and selector.is_fusion):
        arrays |= _predict_variant(
            selector, latents, model, targets=targets, variant=variant, renormalize=renormalize
        )
    return arrays


def _predict_variant(
    selector: Selector,
    latents: Mapping[Flavor, Array],
    model: Model,
    *,
    targets: Sequence[Flavor],
    variant: str,
    renormalize: bool,
) -> dict[str, Array]:
    """Predictions without each target's own flavor or parcellation."""
    arrays, impossible = {}, []
    for target in targets:
        excluded = list_excluded(variant, target, selector.flavors)
        if len(excluded) == len(selector.flavors):
            impossible.append(target.name)
            continue
        fused = fuse(latents, selector, renormalize=renormalize, exclude=excluded)
        arrays[f"{selector.name}.{variant}{ARROW}{target.name}"] = model.decode(target, fused)
    if not arrays:
        raise FlavorError(
            f"expected inputs that {selector.name}.{variant} can use; found only "
            f"{', '.join(f.name for f in selector.flavors)}, which it leaves out for every "
            "target. Give inputs of another parcellation, or drop this option."
        )
    if impossible:
        logger.warning(
            "%s.%s has no input left for %s", selector.name, variant, ", ".join(impossible)
        )
    return arrays
