"""Prediction from connectome files: read in blocks, adapt, encode, fuse; then decode."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.decoding import CohortPredictions, list_predictions
from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.cohort.joined_rows import CohortRows
from kraken_bids.cohort.latent_inputs import are_latents, open_latents
from kraken_bids.cohort.prediction_archives import ENCODED, SUBJECTS, collect_arrays
from kraken_bids.cohort.projections import BLOCK, encode_projection, project_blocks
from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import Flavor, suggest
from kraken_bids.models.krakencoder.fusion import Selector, parse_selectors
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.file_doubts import refuse_or_warn, warn_of_adaptation
from kraken_bids.pipeline.file_adaptation import choose_adaptation, keep_known, open_adaptation
from kraken_bids.pipeline.predict.prediction_options import AUTO, PredictionOptions

logger = logging.getLogger(__name__)

DEFAULT_SOURCES = ("fusion", "fusionSC", "fusionFC")


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
        As :func:`kraken_bids.cohort.from_files.read_connectomes` takes them.
    model : Path or str
        As :func:`kraken_bids.models.krakencoder.load.load_model` takes it, with ``transforms`` and
        ``device``.
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
    :func:`~kraken_bids.cohort.prediction_archives.write_predictions` does.

    Parameters
    ----------
    inputs : sequence of str
        As :func:`kraken_bids.cohort.from_files.read_connectomes` takes them.
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
    cohort = keep_known(open_connectomes(inputs), model, given=inputs)
    targets = select_targets(options.targets, model)
    selectors = _select_sources(options, cohort.rows)
    # what cannot be used is said before the long work
    given = open_adaptation(options, model, cohort.rows)
    projections = {
        flavor: project_blocks(model, flavor, rows.blocks(BLOCK))
        for flavor, rows in cohort.rows.items()
    }
    means = {flavor: projection.mean for flavor, projection in projections.items()}
    checks = {flavor: projection.check for flavor, projection in projections.items()}
    for flavor, rows in cohort.rows.items():
        checks[flavor].mirrored += rows.list_mirrored()
    warnings = refuse_or_warn(checks, cohort.subjects, model, "--input")
    adaptation = choose_adaptation(options, cohort, means, model, given=given)
    warnings += warn_of_adaptation(checks, model, adaptation)
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
    _say_absent(latents)
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
    return CohortPredictions(model, cohort.subjects, encoded, tuple(predictions), warnings)


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


def _say_absent(latents: Mapping[Flavor, NDArray[np.float32]]) -> None:
    absent = [flavor.name for flavor, z in latents.items() if np.isnan(z).all()]
    if absent:
        logger.warning("nobody has %s: all its rows are NaN", ", ".join(absent))


def _read_row(rows: CohortRows, index: int) -> NDArray[np.floating]:
    return np.asarray(rows.read(index, index + 1)[0])


def _select_sources(options: PredictionOptions, flavors: Iterable[Flavor]) -> tuple[Selector, ...]:
    named = [text.partition("=")[0] for text in options.fusions]
    taken = sorted({SUBJECTS, ENCODED} & set(named))
    if taken:
        raise FlavorError(
            f"expected --fusion NAME=SELECTOR with a name that results do not use; found "
            f"{', '.join(taken)}. Choose another one."
        )
    asked = [text for text in options.sources or DEFAULT_SOURCES if text not in named]
    return parse_selectors(
        [*asked, *options.fusions], tuple(flavors), skip_empty=not options.sources
    )
