"""What fixes a search for dynamic communities."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from kraken_bids.exceptions import SettingsError
from kraken_bids.setting_checks import check_choice, check_range

Objective = Literal["maximise", "printed"]
OBJECTIVES = ("maximise", "printed")
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "hypercoil": {
        "n_communities": 10,
        "gamma": 5.0,
        "modularity": 10.0,
        "dynamic": 2e-3,
        "smooth": 0.2,
        "bimodal": 2.0,
        "timescale": 0.0,
        "epochs": 500,
        "learning_rate": 0.05,
        "n_seeds": 1,
        "sign": "positive",
        "keeps_diagonal": True,
        "presence": "published",
        "start": "uniform",
    },
}
"""``hypercoil``: the tutorial of Ciric and others 2022, arXiv 2206.00649, but for the sign of its
modularity, which is that of ``objective``."""


@dataclass(frozen=True)
class CommunitySettings:
    """What is searched for, and how."""

    n_communities: int = 10
    """Communities, some of which may stay empty."""
    gamma: float = 1.0
    """Resolution of modularity: the more, the smaller the communities."""
    modularity: float = 10.0
    """Weight of the static modularity, averaged over scans."""
    dynamic: float = 2.0
    """Weight of the modularity of each community over the volumes in which it is present."""
    smooth: float = 0.0
    """Weight of the mean length of the steps of presence over time."""
    bimodal: float = 0.01
    """Weight of the mean distance of presence from 0 and 1, whichever is nearer."""
    timescale: float = 5.0
    """Volumes over which presence is joined (standard deviation of a Gaussian); 0: each volume is
    free, as published."""
    epochs: int = 200
    """Steps with all scans."""
    learning_rate: float = 0.05
    """Of Adam."""
    n_seeds: int = 5
    """Searches from different starts."""
    seed: int = 0
    """Of the first start."""
    sign: Literal["positive", "signed"] = "signed"
    """Negative correlations count against a community (``signed``: Rubinov and Sporns 2011, Q*) or
    are set to 0 (``positive``)."""
    keeps_diagonal: bool = False
    """Whether the correlation of a region with itself counts in its strength."""
    start: Literal["spectral", "uniform"] = "spectral"
    """Where affiliations begin: at communities of the leading eigenvectors, or near equal shares,
    as published."""
    presence: Literal["correlation", "published"] = "correlation"
    """What presence maximises: the correlation within the community, over volumes in which it is
    present, or its modularity there, as published."""
    objective: Objective = "maximise"
    """``printed`` minimises the static modularity, as the published objective says: all regions
    end in one community, or in ones that do not belong together. For comparison alone."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_choice("--objective", self.objective, OBJECTIVES)
        check_choice("--sign", self.sign, ("positive", "signed"))
        for option, low, high in (
            ("n_communities", 2, 1000), ("gamma", 0, 100), ("modularity", 0, 1e6),
            ("dynamic", 0, 1e6), ("smooth", 0, 1e6), ("bimodal", 0, 1e6), ("epochs", 1, 1e6),
            ("n_seeds", 1, 1000), ("seed", 0, 2**31), ("timescale", 0, 1000),
        ):  # fmt: skip
            unit = "of this option"
            name = {"n_seeds": "--seeds"}.get(option, f"--{option.replace('_', '-')}")
            check_range(name, getattr(self, option), (low, high, unit))
        if not 0 < self.learning_rate <= 10:
            raise SettingsError(
                f"--learning-rate: expected above 0, at most 10; found {self.learning_rate:g}."
            )

    @classmethod
    def of_preset(cls, name: str, **changes: Any) -> Self:
        """Take a preset, with changes.

        Raises
        ------
        SettingsError
            If there is no such preset.
        """
        check_choice("--preset", name, tuple(PRESETS))
        return replace(cls(**PRESETS[name]), **changes)
