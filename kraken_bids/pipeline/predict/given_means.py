"""An adaptation to mean connectomes that somebody gives, such as published ones."""

import logging
from collections.abc import Collection, Sequence

from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.exceptions import ConnectomeError, FlavorError, name_few
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import (
    Adaptation,
    check_covers,
    fit_adaptation,
)
from kraken_bids.models.krakencoder.model import Model

logger = logging.getLogger(__name__)


def fit_given_means(
    means: Sequence[str], model: Model, mode: str, flavors: Collection[Flavor]
) -> Adaptation:
    """Fit an adaptation on one mean connectome of each flavor; whose they are is not known.

    Parameters
    ----------
    means : sequence of str
        As :func:`kraken_bids.cohort.from_files.read_connectomes` takes connectomes, one matrix of
        each flavor.
    flavors : collection of Flavor
        Those of the inputs, all of which need a mean.

    Raises
    ------
    CheckpointError
        If a flavor of the inputs has no mean, or the model keeps no training mean of one.
    ConnectomeError
        If there are several matrices of a flavor, or one is not finite or has another size.
    FlavorError
        If the model knows none of them.
    """
    cohort = open_connectomes(means)
    known = {flavor: rows for flavor, rows in cohort.rows.items() if flavor in model.reductions}
    if not known:
        raise FlavorError(
            f"--adaptation-mean: expected means of flavors of {model.name}; found "
            f"{name_few([flavor.name for flavor in cohort.rows])}. Give FLAVOR=FILE."
        )
    if len(cohort.subjects) != 1:
        raise ConnectomeError(
            "--adaptation-mean: expected one matrix of each flavor, the mean of a site; found "
            f"{len(cohort.subjects)} ({name_few(cohort.subjects)}). Give their mean, or all of "
            "them as the cohort to fit on (kraken-tools predict --adaptation-source)."
        )
    found = {flavor: (rows.read(0, 1)[0], 0) for flavor, rows in known.items()}
    adaptation = fit_adaptation(found, model.training_means(), mode, model_sha256=model.sha256)
    check_covers(adaptation, flavors)
    for flavor, fit in sorted(adaptation.flavors.items()):
        logger.info(
            "adaptation of %s to a given mean: b0 %.3g, b1 %.3g, R² %.2f",
            flavor, fit.b0, fit.b1, fit.r2,
        )  # fmt: skip
    return adaptation
