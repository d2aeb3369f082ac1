"""Sorts the words of a command into the settings of the stages."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kraken_bids.analysis_settings import AnalysisSettings
from kraken_bids.cli.options import labels, numbers, pairs, paths
from kraken_bids.flavors import parse_flavor
from kraken_bids.part_settings import PartSettings
from kraken_bids.run_settings import RunSettings
from kraken_bids.settings import (
    OPTION_NAMES,
    DataSettings,
    FunctionalSettings,
    PredictionSettings,
    Settings,
    StructuralSettings,
)
from kraken_bids.worth_settings import WorthSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind", bound="DataclassInstance")

READERS: dict[str, Callable[[Any], Any]] = {
    "derivatives": partial(paths, "--derivatives"),
    "participant_label": partial(labels, "sub-"),
    "session_id": partial(labels, "ses-"),
    "task_id": partial(labels, "task-"),
    "atlas": partial(pairs, "--atlas"),
    "parcellation": partial(pairs, "--parcellation"),
    "scalar": partial(pairs, "--scalar"),
    "pcorr_lambda": partial(numbers, "--pcorr-lambda"),
    "flavors": lambda words: tuple(map(parse_flavor, words)),
    "targets": lambda words: tuple(map(parse_flavor, words)),
    "transforms": lambda words: tuple(map(Path, words)),
}
"""How the words of an option are read that are not taken as they are."""


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
        data=fill(DataSettings, options),
        functional=fill(FunctionalSettings, options),
        structural=fill(StructuralSettings, options),
        prediction=fill(PredictionSettings, options),
        worth=fill(WorthSettings, options),
        analysis=fill(AnalysisSettings, options),
        run=fill(RunSettings, options),
        parts=fill(PartSettings, options),
    )


def fill(kind: type[Kind], options: Mapping[str, Any]) -> Kind:
    """Make the settings of one stage of the options that its fields are named after."""
    values: dict[str, Any] = {}
    for one in fields(kind):
        name = OPTION_NAMES.get(one.name, one.name)
        value = options[name]
        if name in READERS:
            value = READERS[name](value)
        values[one.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
