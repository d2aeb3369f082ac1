"""What the series of a model were: regions, scaling, repetition time, cleaning."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class SeriesData:
    """What a model has to know of its series, to refuse those of another kind."""

    regions: tuple[str, ...]
    """Names of the regions, in the order of the columns."""
    atlas: str = ""
    """Name of the parcellation; empty where it is not known."""
    normalization: str = "zscore"
    """``zscore``: each region of each run has mean 0 and deviation 1; ``none``: as they came."""
    repetition_times: tuple[float, ...] = ()
    """Those of the runs, in seconds, each once."""
    means: tuple[float, ...] = ()
    """Mean of each region over the training volumes, as the network sees them."""
    deviations: tuple[float, ...] = ()
    """Standard deviation of each region over the training volumes, as the network sees them."""
    cleaning: Mapping[str, Any] = field(default_factory=dict)
    """How the runs were cleaned, as their sidecars say; empty where nothing is known."""
    n_runs: int = 0
    """Runs."""
    n_subjects: int = 0
    """Subjects."""

    def to_json(self) -> dict[str, Any]:
        """Give plain values, to be kept with a model."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SeriesData":
        """Read what :meth:`to_json` gave.

        Raises
        ------
        TypeError, ValueError, KeyError
            If it is no such description.
        """
        return cls(
            regions=tuple(map(str, values["regions"])),
            atlas=str(values["atlas"]),
            normalization=str(values["normalization"]),
            repetition_times=tuple(map(float, values["repetition_times"])),
            means=tuple(map(float, values["means"])),
            deviations=tuple(map(float, values["deviations"])),
            cleaning=dict(values["cleaning"]),
            n_runs=int(values["n_runs"]),
            n_subjects=int(values["n_subjects"]),
        )
