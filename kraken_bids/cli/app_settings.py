"""Sorts the words of ``kraken-bids`` into the settings of the stages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kraken_bids.cli.cleaning_options import functional_settings
from kraken_bids.cli.options import labels, pairs
from kraken_bids.flavors import parse_flavor
from kraken_bids.settings import (
    DataSettings,
    PredictionSettings,
    RunSettings,
    Settings,
    StructuralSettings,
)

OF_RUN = (
    *("n_procs", "omp_nthreads", "work_dir", "scheduler", "mem_gb", "walltime", "force"),
    "matrix_header",
    *("stop_on_first_crash", "dry_run", "reports_only", "refit_pcorr"),
)
"""Options that :class:`~kraken_bids.settings.RunSettings` takes as they are."""


def read_settings(options: Mapping[str, Any]) -> Settings:
    """Sort the values of all options, by parameter name, into settings.

    Raises
    ------
    SettingsError
        If a value is out of its range, or a list of pairs holds something else.
    FlavorError
        If a flavor is none.
    """
    return Settings(
        data=_data_settings(options),
        functional=functional_settings(options),
        structural=StructuralSettings(
            tractogram=options["tractogram"],
            tractogram_weights=options["tractogram_weights"],
            parcellation_images=pairs("--parcellation", options["parcellation"]),
            search_radius=options["search_radius"],
            units=options["sc_units"],
        ),
        prediction=_prediction_settings(options),
        run=RunSettings(**{name: options[name] for name in OF_RUN}),
    )


def _data_settings(options: Mapping[str, Any]) -> DataSettings:
    derivatives = pairs("--derivatives", options["derivatives"])
    return DataSettings(
        bids_dir=options["bids_dir"],
        output_dir=options["output_dir"],
        derivatives={name: Path(path) for name, path in derivatives.items()},
        participants=labels("sub-", options["participant_label"]),
        sessions=labels("ses-", options["session_id"]),
        tasks=labels("task-", options["task_id"]),
        bids_filter_file=options["bids_filter_file"],
        bids_database_dir=options["bids_database_dir"],
        exclude_runs=tuple(options["exclude_runs"]),
        atlases=tuple(options["atlases"]),
        atlas_images=pairs("--atlas", options["atlas"]),
        flavors=tuple(parse_flavor(name) for name in options["flavors"]),
        transforms_dir=options["transforms_dir"],
        allow_template_mismatch=options["allow_template_mismatch"],
    )


def _prediction_settings(options: Mapping[str, Any]) -> PredictionSettings:
    return PredictionSettings(
        model=options["model"],
        transforms=tuple(Path(path) for path in options["transforms"]),
        adaptation=options["adaptation"],
        adaptation_mode=options["adaptation_mode"],
        adaptation_subjects=tuple(options["adaptation_subjects"]),
        adaptation_min_subjects=options["adaptation_min_subjects"],
        sources=tuple(options["sources"]),
        targets=tuple(parse_flavor(name) for name in options["targets"]),
        output_format=options["output_format"],
        device=options["device"],
    )
