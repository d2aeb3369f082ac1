"""Training from connectome files to a model folder."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kraken_bids.bids.custom_atlases import read_region_table
from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.cohort.output_checks import check_no_input
from kraken_bids.cohort.projections import Cohort
from kraken_bids.exceptions import ConnectomeError, FlavorError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.models.devices import CPU, resolve_device
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.latent_space import LATENT_SPACE, OWN
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.reduction import parse_transform
from kraken_bids.models.splits import PARTS, Split
from kraken_bids.models.training_record import TRAINING
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.train.methods import METHODS, Fitted, check_method
from kraken_bids.pipeline.train.reduced_cohort import (
    ReducedCohort,
    check_shared_subjects,
    reduce_cohort,
)
from kraken_bids.pipeline.train.subject_splits import (
    choose_split,
    find_family_column,
    list_families,
    read_families,
)
from kraken_bids.pipeline.train.training_folders import TrainingFolder
from kraken_bids.pipeline.train.training_options import TrainingOptions
from kraken_bids.pipeline.train.training_watch import TrainingWatch
from kraken_bids.pipeline.train.validation import summarise_directions

logger = logging.getLogger(__name__)

PARTICIPANTS = "participants.tsv"


def train_files(inputs: Sequence[str], output: Path, options: TrainingOptions) -> Model:
    """Train a model on connectome files and write it as a folder; returns the model.

    Parameters
    ----------
    inputs : sequence of str
        As :func:`kraken_bids.cohort.from_files.read_connectomes` takes them.
    output : Path
        Gets the model, and beside it ``history.tsv``, ``splits.tsv``, ``training.json`` and
        pictures; until the model is complete, what an interrupted training goes on from.

    Raises
    ------
    KrakenBidsError
        As the stages do: options, files, flavors, numbers, a full disk.
    """
    started = time.monotonic()
    check_method(options.method)
    parse_transform(options.settings.transform)
    resolve_device(options.settings.device)
    given = [options.splits, options.participants, options.families, *options.atlases.values()]
    check_no_input([("--output", output)], [*inputs, *given])
    cohort = open_connectomes(inputs)
    regions = read_atlas_tables(options.atlases, cohort)
    families = find_families(cohort.subjects, inputs, options.families, options.participants)
    split = choose_split(
        cohort.subjects, file=options.splits, families=families,
        shares=(options.test_share, options.validation_share), seed=options.settings.seed,
    )  # fmt: skip
    _check_enough(split, options)
    folder = TrainingFolder(output, options)
    if folder.open(resume=options.resume):
        return _take_complete(folder, cohort, split)
    with folder.telling_how_to_go_on():
        reduced = reduce_cohort(
            cohort, split, families, transform=options.settings.transform, folder=output
        )
        check_shared_subjects(reduced)
        folder.enter_data(reduced)
        watch = TrainingWatch(reduced, options, output)
        fitted = METHODS[options.method](reduced, options, watch, output)
        figures = watch.conclude(fitted.weights, fitted.epoch)
        facts = {
            **_describe(reduced, options, fitted),
            TRAINING.training_seconds: round(watch.seconds_before + time.monotonic() - started, 1),
            TRAINING.evaluation: summarise_directions(figures, reduced.groups),
        }
        provenance = {**facts, TRAINING.regions: regions, LATENT_SPACE: OWN}
        model = _make_model(reduced, fitted, output.resolve().name, provenance)
        write_model(model, output)
        folder.close(**{key: value for key, value in facts.items() if key != TRAINING.subjects})
    return model


def _take_complete(folder: TrainingFolder, cohort: Cohort, split: Split) -> Model:
    """Give the model that is there already, if it is of these subjects and connectomes."""
    trained = load_model(folder.folder, device="cpu")
    _check_same_subjects(trained, cohort, split)
    same = "subjects, flavors and connectomes are those that it was trained on"
    if not folder.compare_connectomes(cohort):
        same = "subjects and flavors are the same; connectomes could not be compared"
    logger.info("%s is complete: nothing is left to do (%s)", folder.folder, same)
    return trained


def _check_same_subjects(trained: Model, cohort: Cohort, split: Split) -> None:
    """Refuse to take a complete training for that of other subjects or flavors."""
    subjects = [cohort.subjects[row] for row in split.train.tolist()]
    known = trained.provenance.get(TRAINING.subjects, subjects)
    if known == subjects and set(trained.flavors) == set(cohort.rows):
        return
    raise SettingsError(
        f"--resume: expected what {trained.name}, which is complete, was trained on: "
        f"{len(known)} training subjects with {', '.join(f.name for f in trained.flavors)}; found "
        f"other ones, {len(subjects)} with {', '.join(f.name for f in cohort.rows)}. Train into "
        "another folder."
    )


def _make_model(
    cohort: ReducedCohort, fitted: Fitted, name: str, provenance: Mapping[str, Any]
) -> Model:
    return Model(
        name=name,
        sha256="",
        flavors=tuple(cohort.flavors),
        latent_size=fitted.weights.architecture.latent_size,
        network=fitted.weights,
        reductions=cohort.reductions,
        provenance=provenance,
        device=CPU,
    )


def _describe(cohort: ReducedCohort, options: TrainingOptions, fitted: Fitted) -> dict[str, Any]:
    rows = cohort.split.train.tolist()
    return {
        TRAINING.method: options.method,
        TRAINING.training: options.settings.to_json(),
        TRAINING.number_of_subjects: len(rows),
        TRAINING.subjects: [cohort.subjects[row] for row in rows],
        TRAINING.split_sizes: {part: len(getattr(cohort.split, part)) for part in PARTS},
        TRAINING.subjects_by_flavor: {
            flavor.name: int(one.present[cohort.split.train].sum())
            for flavor, one in cohort.flavors.items()
        },
        TRAINING.epoch: fitted.epoch,
        **fitted.provenance,
    }


def read_atlas_tables(atlases: Mapping[str, Path], cohort: Cohort) -> dict[str, list[str]]:
    """Names of the regions of atlases that the package does not know, as their tables say.

    Raises
    ------
    FlavorError
        If a table is of a known atlas, or of none of the connectomes.
    ConnectomeError
        If it has another number of regions than the connectomes, or those of one atlas differ.
    """
    _check_sizes(cohort)
    found = {}
    own = {flavor.parcellation for flavor in cohort.rows} - set(list_parcellations())
    for name, table in atlases.items():
        if name not in own:
            raise FlavorError(
                f"--atlas {name}={table}: expected the table of an atlas of the connectomes that "
                f"this package does not know ({', '.join(sorted(own)) or 'there is none'}); found "
                f"{name}. Spell it as in the flavor."
            )
        found[name] = list(read_region_table(name, table).region_names)
    for flavor, rows in cohort.rows.items():
        names = found.get(flavor.parcellation)
        n_edges = getattr(rows, "n_edges", None)
        if names and n_edges not in {None, len(names) * (len(names) - 1) // 2}:
            raise ConnectomeError(
                f"{flavor}: expected the {len(names)} regions of "
                f"{atlases[flavor.parcellation]}, {len(names) * (len(names) - 1) // 2} edges; "
                f"found {n_edges} edges. Give the table of these matrices, or leave it out."
            )
    return found


def _check_sizes(cohort: Cohort) -> None:
    """Refuse connectomes of one atlas that differ in their size."""
    first: dict[str, tuple[Flavor, int | None]] = {}
    for flavor, rows in cohort.rows.items():
        n_edges = getattr(rows, "n_edges", None)
        other, known = first.setdefault(flavor.parcellation, (flavor, n_edges))
        if n_edges != known:
            raise ConnectomeError(
                f"expected connectomes of one size for the atlas {flavor.parcellation}; found "
                f"{known} edges in {other} and {n_edges} in {flavor}. If they are of two atlases, "
                "name them apart."
            )


def find_families(
    subjects: Sequence[str],
    inputs: Sequence[str],
    families: str | None,
    participants: Path | None,
) -> tuple[str, ...]:
    """Family of every row, as asked; a column that is there and not asked for is told of.

    Parameters
    ----------
    subjects : sequence of str
        Rows of the cohort: ``01``, or ``01_ses-1``.
    inputs : sequence of str
        What the cohort was opened from; a folder may hold ``participants.tsv``.
    families : str, optional
        As :func:`~.train.subject_splits.read_families` takes it.
    participants : Path, optional
        Table of participants.
    """
    participants = participants or next(
        (table for one in inputs if (table := Path(one) / PARTICIPANTS).is_file()), None
    )
    if families:
        return list_families(subjects, read_families(families, participants))
    column = find_family_column(participants) if participants else None
    if column:
        logger.warning(
            "%s has a column %s: give --families %s to keep families in one part of the split",
            participants, column, column,
        )  # fmt: skip
    return list_families(subjects, {})


def _check_enough(split: Split, options: TrainingOptions) -> None:
    """Say which transform and batch fit, where the training subjects are too few."""
    n_train, batch = len(split.train), options.settings.batch_size
    n_components = parse_transform(options.settings.transform) or 0
    is_batched = options.method == "krakencoder"
    if n_train >= max(n_components, batch if is_batched else 0):
        return
    fitting = [f"--transform pca{n_train}"] if n_components > n_train else []
    fitting += [f"--batch-size {n_train}"] if is_batched and batch > n_train > 1 else []
    if n_train < 2:
        fitting = ["a smaller --test-share or --validation-share"]
    asked = [f"{n_components} principal components"] if n_components else []
    asked += [f"a batch of {batch}"] if is_batched else []
    raise ConnectomeError(
        f"expected enough training subjects for {' and '.join(asked)}; found {n_train} (beside "
        f"{len(split.validation)} for validation and {len(split.test)} for test). Give "
        f"{' '.join(fitting)}, or more subjects."
    )
