"""Prediction from connectome files: read in blocks, adapt, encode, fuse; then decode."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError, FlavorError, SettingsError
from kraken_bids.flavors import Flavor, suggest
from kraken_bids.model.adaptation import (
    Adaptation,
    check_adaptation,
    fit_adaptation,
    read_adaptation,
    write_adaptation,
)
from kraken_bids.model.fusion import Selector, parse_selectors
from kraken_bids.model.load import load_model
from kraken_bids.model.predict import Model
from kraken_bids.pipeline.background import read_ahead
from kraken_bids.pipeline.projections import BLOCK, EdgeMean, encode_projection, project_blocks
from kraken_bids.pipeline.tools.connectome_files import CohortFiles, open_connectomes
from kraken_bids.pipeline.tools.connectome_parts import CohortRows
from kraken_bids.pipeline.tools.decoding import CohortPredictions, list_predictions
from kraken_bids.pipeline.tools.latent_files import are_latents, open_latents
from kraken_bids.pipeline.tools.prediction_files import collect_arrays

logger = logging.getLogger(__name__)

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

    @property
    def variants(self) -> tuple[str, ...]:
        """Variants of fusions that are asked for."""
        asked = {"noself": self.exclude_self, "noatlas": self.exclude_atlas}
        return tuple(name for name, is_asked in asked.items() if is_asked)

    def check_decoding(self) -> None:
        """Check that nothing is asked for that latents as inputs are past.

        Raises
        ------
        SettingsError
            If there is an adaptation, a fusion or a variant of one.
        """
        is_adapted = self.adaptation or self.adaptation_sources or self.save_adaptation
        if is_adapted or self.adaptation_mode not in {AUTO, "none"}:
            raise SettingsError(
                "expected no adaptation with --input encoded=FILE, since latents are past it; "
                "found one. Leave the options --adaptation… out, or give connectomes."
            )
        if self.fusions or self.variants or self.renormalize_fusion:
            raise SettingsError(
                "expected no fusion with --input encoded=FILE, which is decoded as it is; found "
                "--fusion, --exclude-… or --renormalize-fusion. Leave them out, or give "
                "connectomes."
            )

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
    """Latents and predicted connectomes of connectome files, all in memory.

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
    loaded = load_model(model, transforms=transforms, device=device)
    return collect_arrays(encode_files(inputs, loaded, options))


def encode_files(
    inputs: Sequence[str], model: Model, options: PredictionOptions | None = None
) -> CohortPredictions:
    """Latents of connectome files, each read once in blocks of subjects, and what follows.

    The predictions are computed when they are asked for, as
    :func:`~kraken_bids.pipeline.tools.prediction_files.write_predictions` does.

    Parameters
    ----------
    inputs : sequence of str
        As :func:`kraken_bids.pipeline.tools.connectome_files.read_connectomes` takes them.
    model : Model
    options : PredictionOptions, optional

    Raises
    ------
    KrakenBidsError
        As the stages do: files, flavors, numbers.
    """
    options = options or PredictionOptions()
    if are_latents(inputs):
        options.check_decoding()
        targets = select_targets(options.targets, model)
        return open_latents(inputs, model, sources=options.sources, targets=targets)
    cohort = _keep_known(open_connectomes(inputs), model)
    targets = select_targets(options.targets, model)
    selectors = _select_sources(options, cohort.rows)
    projections = {
        flavor: project_blocks(model, flavor, read_ahead(rows.blocks(BLOCK)))
        for flavor, rows in cohort.rows.items()
    }
    means = {flavor: projection.mean for flavor, projection in projections.items()}
    adaptation = _choose_adaptation(options, cohort, means, model)
    latents = {
        flavor: encode_projection(
            model,
            flavor,
            projection.rows,
            adaptation=adaptation,
            reread=projection.reread,
            read=partial(_read_row, cohort.rows[flavor]),
        )
        for flavor, projection in projections.items()
    }
    encoded, predictions = {flavor.name: z for flavor, z in latents.items()}, []
    for selector in selectors:
        encoded[selector.name], found = list_predictions(
            model,
            selector,
            latents,
            targets=targets,
            variants=options.variants,
            renormalize=options.renormalize_fusion,
        )
        predictions += found
    return CohortPredictions(model, cohort.subjects, encoded, tuple(predictions))


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
                f"{suggest(pattern, [f.name for f in model.flavors])}"
            )
        chosen |= dict.fromkeys(found)
    return tuple(chosen) or model.flavors


def _keep_known(cohort: CohortFiles, model: Model) -> CohortFiles:
    known = {flavor: rows for flavor, rows in cohort.rows.items() if flavor in model.reductions}
    left_out = sorted(flavor.name for flavor in set(cohort.rows) - set(known))
    if not known:
        raise FlavorError(
            f"expected inputs among the flavors of {model.name} "
            f"({', '.join(f.name for f in model.flavors)}); found {', '.join(left_out)}."
        )
    if left_out:
        logger.warning(
            "the model has no flavor %s: these inputs are not used", ", ".join(left_out)
        )
    return CohortFiles(cohort.subjects, known)


def _read_row(rows: CohortRows, index: int) -> NDArray[np.floating]:
    return np.asarray(rows.read(index, index + 1)[0])


def _select_sources(options: PredictionOptions, flavors: Iterable[Flavor]) -> tuple[Selector, ...]:
    named = [text.partition("=")[0] for text in options.fusions]
    asked = [text for text in options.sources or DEFAULT_SOURCES if text not in named]
    return parse_selectors(
        [*asked, *options.fusions], tuple(flavors), skip_empty=not options.sources
    )


def _choose_adaptation(
    options: PredictionOptions,
    cohort: CohortFiles,
    means: Mapping[Flavor, EdgeMean],
    model: Model,
) -> Adaptation | None:
    """Adaptation as asked: saved, fitted on another cohort, or fitted on the inputs."""
    if options.adaptation:
        adaptation = read_adaptation(options.adaptation)
        check_adaptation(adaptation, model.sha256)
        return adaptation
    if options.adaptation_sources:
        cohort = open_connectomes(options.adaptation_sources)
    mode = options.adaptation_mode
    if mode == AUTO and len(cohort.subjects) < MIN_SUBJECTS:
        logger.warning(
            "%d subjects are too few to fit an adaptation (at least %d): none is applied. Give "
            "--adaptation FILE, --adaptation-source FLAVOR=FILE, or an --adaptation-mode.",
            len(cohort.subjects),
            MIN_SUBJECTS,
        )
        return None
    if options.adaptation_sources:
        means = {flavor: _take_mean(rows) for flavor, rows in cohort.rows.items()}
    adaptation = _fit_adaptation(means, model, DEFAULT_MODE if mode == AUTO else mode)
    if options.save_adaptation:
        write_adaptation(adaptation, options.save_adaptation)
    return adaptation


def _take_mean(rows: CohortRows) -> EdgeMean:
    mean = EdgeMean(rows.n_edges)
    for block in read_ahead(rows.blocks(BLOCK)):
        for edges in block:
            if not np.isnan(edges).all():
                mean.add(edges)
    return mean


def _fit_adaptation(means: Mapping[Flavor, EdgeMean], model: Model, mode: str) -> Adaptation:
    fitted, training_means = {}, model.training_means()
    for flavor, mean in means.items():
        if mean.n_subjects == 1 and mode != "none":
            raise ConnectomeError(
                f"{flavor}: expected several subjects to fit the adaptation {mode}; found one, "
                "whose adapted connectome would be the training mean itself. Use "
                "--adaptation-mode none, or --adaptation-source with a cohort of the same site."
            )
        if mean.n_subjects:
            fitted[flavor] = (mean.result(training_means.get(flavor)), mean.n_subjects)
    adaptation = fit_adaptation(fitted, training_means, mode, model_sha256=model.sha256)
    for flavor, fit in adaptation.flavors.items() if mode != "none" else ():
        logger.info(
            "%s: %s, b0 %.3f, b1 %.3f, R2 %.3f, %d subjects",
            flavor, mode, fit.b0, fit.b1, fit.r2, fit.n_subjects,
        )  # fmt: skip
    return adaptation
