"""One ridge for the partial correlations of everyone: searched, saved, brought to their files."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kraken_bids.bids.outputs import find_relmats, relmat_path
from kraken_bids.cohort.failures import Failure, failing_alone
from kraken_bids.cohort.measurements import FUNCTIONAL
from kraken_bids.cohort.members import Member
from kraken_bids.connectome.functional.ridge_search import (
    SEARCHED,
    SMALLEST_EIGENVALUE,
    RidgeSearch,
    search_ridge,
)
from kraken_bids.connectome.matrices import check_connectome
from kraken_bids.exceptions import ConnectomeError, InputError, KrakenBidsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.tables import read_relmat
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.measure.ridges import (
    Choice,
    PartialFile,
    find_target,
    read_target,
    refit_file,
    write_choices,
)
from kraken_bids.pipeline.plan import check_ridges
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)

MEAN_INVERSE = "mean inverse correlation matrix of these sessions"


def refit_partial_correlations(settings: Settings, members: Sequence[Member]) -> list[Failure]:
    """Find λ of every atlas over all members and compute again the files that have another one.

    Writes ``group/pcorr.tsv`` and its sidecar, which later participant runs read; returns the
    members whose file could not be made.

    Raises
    ------
    InputError
        If nobody has a partial correlation.
    ConnectomeError
        If there are too few subjects to search over.
    SettingsError
        If ``--pcorr-lambda`` is for an atlas that does not exist.
    """
    files = _list_partial_files(settings.data.output_dir, members)
    measured = (flavor.parcellation for flavor in files)
    check_ridges(settings, tuple(dict.fromkeys((*list_parcellations(), *measured))))
    # all before the first file changes: a search that fails leaves everything as it was
    choices = {flavor: _choose_ridge(settings, flavor, members) for flavor in files}
    write_choices(settings.data.output_dir, choices)
    return [failure for f in files for failure in _bring_to(f, choices[f], files[f])]


def _list_partial_files(
    output_dir: Path, members: Sequence[Member]
) -> dict[Flavor, list[PartialFile]]:
    """Measured partial correlations of the members by flavor, of all tasks and spaces."""
    sessions = {(member.subject, member.session) for member in members}
    files: dict[Flavor, list[PartialFile]] = {}
    for found in find_relmats(output_dir):
        if found.flavor.measure == "FCpcorr" and (found.subject, found.session) in sessions:
            source = relmat_path(output_dir, found.entities, _source(found.flavor), source=None)
            file = PartialFile(found.subject, found.session, found.path, source)
            files.setdefault(found.flavor, []).append(file)
    if not files:
        raise InputError(
            f"--refit-pcorr: expected measured partial correlations (meas-FCpcorr…) in "
            f"{output_dir}; found none. Run the participant level with FCpcorr among --flavors."
        )
    return files


def _source(flavor: Flavor) -> Flavor:
    """Flavor of the correlation that a partial correlation is made of."""
    return Flavor("FCcorr", flavor.parcellation, flavor.processing)


def _choose_ridge(settings: Settings, flavor: Flavor, members: Sequence[Member]) -> Choice:
    """λ that the user gave for the atlas, else the one that the search finds."""
    given = settings.functional.pcorr_lambda.get(flavor.parcellation)
    if given is not None:
        return Choice(
            {FUNCTIONAL.lambda_: given, FUNCTIONAL.lambda_source: "chosen by the user"},
            np.empty(0),
            np.empty(0),
        )
    paths, n_regions = _find_sound(_source(flavor), members)
    target = find_target(flavor) if paths else None
    try:
        search = search_ridge(
            lambda: map(read_relmat, paths),
            target=None if target is None else read_target(target, n_regions),
            # rounding to the six digits of a file moves eigenvalues by less than this
            smallest=SMALLEST_EIGENVALUE * n_regions**0.5,
        )
    except ConnectomeError as error:
        raise ConnectomeError(f"--refit-pcorr, {flavor}: {error}") from error
    _log_search(flavor, search)
    facts = {
        FUNCTIONAL.lambda_: search.ridge,
        FUNCTIONAL.lambda_source: "group search",
        "LambdaFound": round(search.found, 6),
        "LambdaTarget": MEAN_INVERSE if target is None else target.name,
        "LambdaSessions": search.n_subjects,
        "LambdaSessionsSingular": search.n_singular,
    }
    return Choice(facts, search.tried, search.errors)


def _log_search(flavor: Flavor, search: RidgeSearch) -> None:
    logger.info(
        "λ of %s: %g (%.4f before rounding), from %d session(s)",
        flavor, search.ridge, search.found, search.n_subjects,
    )  # fmt: skip
    if search.ridge >= SEARCHED[1]:
        logger.warning("λ of %s: the largest that is tried was the best", flavor)
    if search.n_singular:
        logger.warning(
            "λ of %s: %d of %d session(s) have fewer frames than regions; their partial "
            "correlations rest on λ more than on the data",
            flavor, search.n_singular, search.n_subjects,
        )  # fmt: skip


def _find_sound(flavor: Flavor, members: Sequence[Member]) -> tuple[list[Path], int]:
    """Files of a flavor that can be searched over, and their number of regions."""
    sound: list[Path] = []
    n_regions = 0
    for path in (m.connectomes[flavor] for m in members if flavor in m.connectomes):
        try:
            square = read_relmat(path)
            check_connectome(square, str(path))
        except KrakenBidsError as error:
            logger.warning("left out of the search for λ: %s", error)
            continue
        n_regions = n_regions or len(square)
        sound.append(path)
    return sound, n_regions


def _bring_to(flavor: Flavor, choice: Choice, files: Sequence[PartialFile]) -> list[Failure]:
    """Compute again what was made with another λ; one broken file fails alone."""
    failures: list[Failure] = []
    n_new = 0
    for file in files:
        with failing_alone(
            failures, subject=file.subject, session=file.session, stage="connectomes"
        ):
            n_new += refit_file(file, choice)
    logger.info(
        "%s with λ = %g: %d computed again, %d had it already",
        flavor, choice.ridge, n_new, len(files) - n_new - len(failures),
    )  # fmt: skip
    return failures
