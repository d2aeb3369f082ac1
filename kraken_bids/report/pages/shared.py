"""What both pages show: notices, files, references, model and adaptation."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]
Level = Literal["warning", "info"]
Group = Literal["FC", "SC"]
SourceGroup = Literal["FC", "SC", "both"]


@dataclass(frozen=True)
class Notice:
    """One sentence of the banner: what is wrong, and what to do."""

    level: Level
    text: str


@dataclass(frozen=True)
class FileLink:
    """One file that was written."""

    href: str
    """Address relative to the HTML file: ``sub-01/func/…``."""
    description: str = ""


@dataclass(frozen=True)
class Reference:
    """One work to cite."""

    text: str
    url: str = ""
    """``https://doi.org/…``; a link to click, nothing is fetched when the page opens."""


@dataclass(frozen=True)
class ModelInfo:
    """The model that made the predictions."""

    name: str
    sha256: str
    n_flavors: int
    n_latent: int
    note: str = ""
    """For example ``demonstration model, trained on synthetic data``."""


@dataclass(frozen=True)
class AdaptationFit:
    """How one input flavor was moved into the range of the training data."""

    flavor: str
    mode: str
    """``none``, ``meanshift``, ``meanfit`` or ``meanfit+meanshift``."""
    b0: float | None
    b1: float | None
    r2: float | None
    n_subjects: int | None
    new_mean: Floats | None = None
    """Mean edges of the cohort [n_edges]; only the group page draws them."""
    training_mean: Floats | None = None
    """Mean edges of the training data [n_edges]."""
