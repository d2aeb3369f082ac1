"""Which adaptation connectome files get: a saved one, one fitted on them or others, or none."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from kraken_bids.cohort.from_files import CohortFiles, open_connectomes
from kraken_bids.cohort.joined_rows import CohortRows
from kraken_bids.cohort.projections import BLOCK, EdgeMean
from kraken_bids.cohort.read_ahead import read_ahead
from kraken_bids.exceptions import CheckpointError, ConnectomeError, FlavorError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import (
    Adaptation,
    check_adaptation,
    check_covers,
    fit_adaptation,
    parse_mode,
    read_adaptation,
    write_adaptation,
)
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.file_doubts import refuse_or_warn
from kraken_bids.pipeline.predict.prediction_options import AUTO, PredictionOptions
from kraken_bids.scores.plausibility import InputCheck

logger = logging.getLogger(__name__)

DEFAULT_MODE = "meanfit+meanshift"
MIN_SUBJECTS = 10


def open_adaptation(
    options: PredictionOptions, model: Model, flavors: Iterable[Flavor]
) -> Adaptation | CohortFiles | None:
    """Adaptation that was saved, or the other cohort that it is to be fitted on; None of either.

    Parameters
    ----------
    options : PredictionOptions
    model : Model
    flavors : iterable of Flavor
        Those of the inputs, all of which it must have.

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
    if options.adaptation:
        adaptation = read_adaptation(options.adaptation)
        check_adaptation(adaptation, model.sha256)
        try:
            check_covers(adaptation, flavors)
        except CheckpointError as error:
            raise CheckpointError(f"--adaptation {options.adaptation}: {error}") from error
        return adaptation
    if options.adaptation_sources:
        given = options.adaptation_sources
        source = keep_known(open_connectomes(given), model, given=given)
        _check_source(source, flavors)
        return source
    return None


def _check_source(source: CohortFiles, flavors: Iterable[Flavor]) -> None:
    lacking = sorted(flavor.name for flavor in set(flavors) - set(source.rows))
    if lacking:
        raise FlavorError(
            "--adaptation-source: expected a cohort that has every input flavor; found none of "
            f"{', '.join(lacking)} in it. An input that is not adapted does not fit those that "
            "are: leave it out of --input, or give the source's connectomes of it too "
            f"({lacking[0]}=FILE)."
        )


def keep_known(cohort: CohortFiles, model: Model, *, given: Sequence[str]) -> CohortFiles:
    """Leave out the flavors that the model does not know, and say so.

    Parameters
    ----------
    cohort : CohortFiles
    model : Model
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
    return CohortFiles(cohort.subjects, known)


def choose_adaptation(
    options: PredictionOptions,
    cohort: CohortFiles,
    means: Mapping[Flavor, EdgeMean],
    model: Model,
    *,
    given: Adaptation | CohortFiles | None,
) -> Adaptation | None:
    """Adaptation as asked: saved, fitted on another cohort, or fitted on the inputs.

    Parameters
    ----------
    options : PredictionOptions
    cohort : CohortFiles
        The inputs.
    means : mapping of Flavor to EdgeMean
        Their means.
    model : Model
    given : Adaptation or CohortFiles or None
        From :func:`open_adaptation`.

    Raises
    ------
    ConnectomeError
        If it would be fitted on one subject, or, unless a mode is asked for, on fewer than
        :data:`MIN_SUBJECTS` of a flavor.
    CheckpointError
        If the model keeps no training mean of an input flavor.
    """
    if isinstance(given, Adaptation):
        _warn_of_few(given, cohort.rows)
        return given
    mode, fitted_on = options.adaptation_mode, given or cohort
    if mode == AUTO and len(fitted_on.subjects) < MIN_SUBJECTS:
        logger.warning(
            "%d subjects are too few to fit an adaptation (at least %d): none is applied%s. Give "
            "--adaptation FILE, --adaptation-source FLAVOR=FILE, or an --adaptation-mode.",
            len(fitted_on.subjects),
            MIN_SUBJECTS,
            ", and none saved" if options.save_adaptation else "",
        )
        return None
    if given:
        means = _take_means(given, model)
    if mode == AUTO:
        _check_counts({flavor: means[flavor] for flavor in cohort.rows})
    adaptation = _fit_adaptation(means, model, DEFAULT_MODE if mode == AUTO else mode)
    if options.save_adaptation:
        write_adaptation(adaptation, options.save_adaptation)
    return adaptation


def _warn_of_few(adaptation: Adaptation, flavors: Iterable[Flavor]) -> None:
    fits = [fit for flavor in flavors if (fit := adaptation.of(flavor)) is not None]
    fewest = min((fit.n_subjects for fit in fits if fit.mode != "none"), default=MIN_SUBJECTS)
    if fewest < MIN_SUBJECTS:
        logger.warning(
            "the saved adaptation was fitted on %d subject(s), fewer than %d: their own "
            "differences from others are taken for those of the site. Fit it on more people.",
            fewest, MIN_SUBJECTS,
        )  # fmt: skip


def _check_counts(means: Mapping[Flavor, EdgeMean]) -> None:
    few = {f: m.n_subjects for f, m in sorted(means.items()) if 0 < m.n_subjects < MIN_SUBJECTS}
    if few:
        raise ConnectomeError(
            f"expected at least {MIN_SUBJECTS} subjects of every input flavor, to fit the "
            f"adaptation; found {', '.join(f'{n} of {flavor}' for flavor, n in few.items())}. "
            "Leave the flavor out, give --adaptation FILE or --adaptation-source, or name an "
            "--adaptation-mode to fit it on so few all the same."
        )


def _take_means(cohort: CohortFiles, model: Model) -> dict[Flavor, EdgeMean]:
    """Mean of each flavor of another cohort, which is judged as the inputs are."""
    training_means = model.training_means()
    checks = {flavor: InputCheck(flavor, training_means.get(flavor)) for flavor in cohort.rows}
    means = {f: _take_mean(rows, checks[f]) for f, rows in cohort.rows.items()}
    for flavor, rows in cohort.rows.items():
        checks[flavor].mirrored += rows.list_mirrored()
    refuse_or_warn(checks, cohort.subjects, model, "--adaptation-source")
    return means


def _take_mean(rows: CohortRows, check: InputCheck) -> EdgeMean:
    mean = EdgeMean(rows.n_edges)
    everyone = chain.from_iterable(read_ahead(rows.blocks(BLOCK)))
    for row, edges in enumerate(everyone):
        if not np.isnan(edges).all() and check.add(row, edges):
            mean.add(edges, is_whole=bool(np.isfinite(edges.sum())))
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
    adaptation = fit_adaptation(
        fitted, training_means, mode, model_sha256=model.sha256, judges=False
    )
    for flavor, fit in adaptation.flavors.items() if mode != "none" else ():
        logger.info(
            "%s: %s, b0 %.3f, b1 %.3f, R2 %.3f, %d subjects",
            flavor, mode, fit.b0, fit.b1, fit.r2, fit.n_subjects,
        )  # fmt: skip
    return adaptation
