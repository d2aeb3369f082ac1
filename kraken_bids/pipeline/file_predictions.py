"""Prediction from connectome files: read in blocks, adapt, encode, fuse; then decode."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.decoding import CohortPredictions, list_predictions
from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.cohort.latent_inputs import are_latents, open_latents
from kraken_bids.cohort.output_checks import SAVED, check_no_input
from kraken_bids.cohort.prediction_archives import (
    DATASET_SUFFIXES,
    ENCODED,
    SUBJECTS,
    check_output,
    write_predictions,
)
from kraken_bids.cohort.prediction_dataset import write_prediction_tables
from kraken_bids.cohort.projections import Cohort, Projected, project_cohort
from kraken_bids.cohort.sources import build_source
from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import Flavor, suggest
from kraken_bids.models.krakencoder.adaptation import Adaptation, parse_mode
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation
from kraken_bids.models.krakencoder.fusion import Selector, parse_selectors
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.saved_adaptation import list_adaptation_files
from kraken_bids.pipeline.check.cohort_doubts import refuse_or_warn, warn_of_adaptation
from kraken_bids.pipeline.predict.adaptation_of_files import choose_for_files
from kraken_bids.pipeline.predict.choice_of_adaptation import read_given_adaptation
from kraken_bids.pipeline.predict.given_means import fit_given_means
from kraken_bids.pipeline.predict.prediction_options import AUTO, PredictionOptions
from kraken_bids.pipeline.predict.run_sites import check_request

logger = logging.getLogger(__name__)

DEFAULT_SOURCES = ("fusion", "fusionSC", "fusionFC")


def predict_files(
    inputs: Sequence[str],
    model: str,
    output: Path,
    options: PredictionOptions,
    *,
    transforms: Sequence[Path] = (),
    device: str = AUTO,
) -> CohortPredictions:
    """Predict from connectome files into one file or a folder; returns what was predicted.

    Parameters
    ----------
    inputs : sequence of str
        As :func:`kraken_bids.cohort.from_files.read_connectomes` takes them.
    model : str
        As :func:`kraken_bids.models.krakencoder.load.load_model` takes it, with ``transforms`` and
        ``device``.
    output : Path
        ``.npz``, ``.mat`` or ``.h5``; ``.zip`` or a folder for tables with BIDS names.

    Raises
    ------
    KrakenBidsError
        As the stages do: files, flavors, numbers, model.
    """
    check_output(output)
    saved, given = options.save_adaptation, options.adaptation
    check_no_input(
        [("--output", output), *((SAVED, path) for path in [saved, *_list_files(saved)] if path)],
        [
            *inputs,
            *options.adaptation_sources,
            *options.adaptation_mean,
            *_list_files(given),
            *([options.participants] if options.participants else []),
            model,
            *transforms,
        ],
    )
    loaded = load_model(model, transforms=transforms, device=device)
    loaded.keep_few_maps()
    predictions = encode_files(inputs, loaded, options)
    write = write_prediction_tables if output.suffix in DATASET_SUFFIXES else write_predictions
    write(predictions, output)
    return predictions


def _list_files(adaptation: Path | None) -> tuple[Path, ...]:
    return list_adaptation_files(adaptation) if adaptation else ()


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
    given = open_adaptation(options, model, cohort.rows, takes_sites=True)
    projected = project_cohort(model, cohort)
    checks = projected.checks
    warnings = refuse_or_warn(checks, cohort.subjects, model, "--input")
    adaptation = choose_for_files(
        options, model, projected, given=given, project=partial(project_source, model)
    )
    is_fitted_here = not isinstance(given, Adaptation)
    warnings += warn_of_adaptation(checks, model, adaptation, is_fitted_here=is_fitted_here)
    latents = encode_cohort(model, projected, adaptation)
    _say_absent(latents)
    encoded, predictions = {flavor.name: z for flavor, z in latents.items()}, []
    for selector in selectors:
        source = build_source(latents, selector, renormalize=options.renormalize_fusion)
        encoded[source.name] = source.latents
        predictions += list_predictions(model, source, targets, options.variants)
    return CohortPredictions(model, cohort.subjects, encoded, tuple(predictions), warnings)


def open_adaptation(
    options: PredictionOptions,
    model: Model,
    flavors: Iterable[Flavor],
    *,
    takes_sites: bool = False,
) -> Adaptation | Cohort | None:
    """Adaptation that was saved, or the other cohort that it is to be fitted on; None of either.

    Parameters
    ----------
    flavors : iterable of Flavor
        Those of the inputs, all of which it must have.
    takes_sites : bool
        Whether one by site can be used, for which it must be known who is from where.

    Raises
    ------
    CheckpointError
        If a saved adaptation is of another model, lacks a flavor of the inputs, or cannot be read.
    FlavorError
        If the other cohort lacks a flavor of the inputs.
    KrakenBidsError
        If files of the other cohort are missing or of another kind.
    """
    parse_mode("none" if options.adaptation_mode == AUTO else options.adaptation_mode)
    wanted = tuple(flavors)
    if options.adaptation_mean:
        return fit_given_means(options.adaptation_mean, model, options.fitted_mode, wanted)
    if options.adaptation:
        saved = read_given_adaptation(options.adaptation, model, wanted)
        if isinstance(saved, SiteAdaptation) and not takes_sites:
            saved.of(wanted[0])  # says what to do
        check_request(saved, options.adaptation_by, options.adaptation)
        return saved
    if options.adaptation_sources:
        given = options.adaptation_sources
        source = keep_known(open_connectomes(given), model, given=given)
        _check_source(source, wanted)
        return source
    return None


def project_source(model: Model, source: Cohort) -> Projected:
    """Read the cohort that an adaptation is fitted on, which is judged as the inputs are."""
    projected = project_cohort(model, source)
    refuse_or_warn(projected.checks, source.subjects, model, "--adaptation-source")
    return projected


def _check_source(source: Cohort, flavors: Iterable[Flavor]) -> None:
    lacking = sorted(flavor.name for flavor in set(flavors) - set(source.rows))
    if lacking:
        raise FlavorError(
            "--adaptation-source: expected a cohort that has every input flavor; found none of "
            f"{', '.join(lacking)} in it. An input that is not adapted does not fit those that "
            "are: leave it out of --input, or give the source's connectomes of it too "
            f"({lacking[0]}=FILE)."
        )


def keep_known(cohort: Cohort, model: Model, *, given: Sequence[str]) -> Cohort:
    """Leave out the flavors that the model does not know, and say so.

    Parameters
    ----------
    given : sequence of str
        What the cohort was opened from: a flavor named in ``FLAVOR=FILE`` is warned of, one that
        a folder holds beside others is not.

    Raises
    ------
    FlavorError
        If it knows none.
    """
    known = {flavor: rows for flavor, rows in cohort.rows.items() if flavor in model.reductions}
    left_out = sorted(flavor.name for flavor in set(cohort.rows) - set(known))
    if not known:
        raise FlavorError(
            f"expected connectomes of the flavors of {model.name} "
            f"({', '.join(f.name for f in model.flavors)}); found {', '.join(left_out)}. Give "
            "some of these, or another model."
        )
    if left_out:
        named = any(name in one.partition("=")[0] for name in left_out for one in given)
        logger.log(
            logging.WARNING if named else logging.INFO,
            "the model has no flavor %s: these connectomes are not used",
            ", ".join(left_out),
        )
    return Cohort(cohort.subjects, known)


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
