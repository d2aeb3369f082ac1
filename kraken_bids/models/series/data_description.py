"""What the series of a model were: regions, scaling, repetition time, cleaning."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class SeriesData:
    """What a model has to know of its series, to refuse those of another kind."""

    regions: tuple[str, ...] = ()
    """Names of the regions, in the order of the columns; empty where nothing says them."""
    n_regions: int = 0
    """Number of the regions."""
    atlas: str = ""
    """Name of the parcellation; empty where it is not known."""
    normalization: str = "zscore"
    """``zscore``: each region of each run has mean 0 and deviation 1 over the volumes that count;
    ``none``: as they came."""
    repetition_times: tuple[float, ...] = ()
    """Those of the runs, in seconds, each once; empty where they are not known."""
    repetition_time_rule: str = ""
    """Where the repetition times come from."""
    means: tuple[float, ...] = ()
    """Mean of each region over the volumes that count, as the network sees them."""
    deviations: tuple[float, ...] = ()
    """Standard deviation of each region over the volumes that count, as the network sees them."""
    cleaning: Mapping[str, Any] = field(default_factory=dict)
    """How the runs were cleaned, as their sidecars say, a list where they differ; empty where
    nothing is known."""
    n_runs: int = 0
    """Runs."""
    n_subjects: int = 0
    """Subjects."""
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Subjects of each part (``training``, ``validation`` …)."""
    seed: int | None = None
    """Of the splits."""

    def to_json(self) -> dict[str, Any]:
        """Give plain values, to be kept with a model."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        plain["splits"] = {name: list(own) for name, own in self.splits.items()}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SeriesData":
        """Read what :meth:`to_json` gave.

        Raises
        ------
        TypeError, ValueError, KeyError
            If it is no such description.
        """
        seed = values["seed"]
        return cls(
            regions=tuple(map(str, values["regions"])),
            n_regions=int(values["n_regions"]),
            atlas=str(values["atlas"]),
            normalization=str(values["normalization"]),
            repetition_times=tuple(map(float, values["repetition_times"])),
            repetition_time_rule=str(values["repetition_time_rule"]),
            means=tuple(map(float, values["means"])),
            deviations=tuple(map(float, values["deviations"])),
            cleaning=dict(values["cleaning"]),
            n_runs=int(values["n_runs"]),
            n_subjects=int(values["n_subjects"]),
            splits={str(k): tuple(map(str, own)) for k, own in dict(values["splits"]).items()},
            seed=None if seed is None else int(seed),
        )
