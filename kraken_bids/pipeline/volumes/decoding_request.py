"""What is wanted of one run of volumes, and what its results are called."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from kraken_bids.bids.decoded_relevance import find_relevance
from kraken_bids.bids.names import format_name, parse_name
from kraken_bids.bids.outputs import DECODED
from kraken_bids.cohort.sidecar_records import ORIGIN, SOFTWARE
from kraken_bids.models.volumes.checkpoint import VolumeModel
from kraken_bids.models.volumes.relevance import Rule
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.volumes.cleaned_volumes import CleanedVolumes
from kraken_bids.pipeline.volumes.voxel_cleaning import Prepare

UNSPELLED = re.compile("[^0-9A-Za-z]")
"""What no entity of a BIDS name may hold."""


@dataclass(frozen=True)
class DecodingRequest:
    """What is wanted of a run."""

    bold: Path
    mask: Path
    folder: Path
    """Where the results go."""
    has_relevance: bool = False
    rule: Rule = "signed"
    labels: Mapping[str, tuple[Path, Parcellation]] = field(default_factory=dict)
    """Atlas to its label image in MNI152NLin6Asym, and its regions to sum relevance in."""
    n_threads: int = 1
    device: str = "cpu"
    prepare: Prepare | None = None
    """Chooses the confounds of the run, where the cleaning regresses any."""
    digest: str = ""
    """Of all that the results follow from; kept once all are there."""

    def path(self, suffix: str, *, extension: str = ".tsv", **entities: str) -> Path:
        """Path of a result, named as the run is."""
        own = {k: v for k, v in parse_name(self.bold).items() if k not in {"suffix", "extension"}}
        name = format_name(
            {**own, **entities, "desc": DECODED}, suffix=suffix, extension=extension
        )
        return self.folder / name

    def find_relevance(self) -> list[Path]:
        """Find the relevance of this run that lies in the folder, sidecars too."""
        found = find_relevance(self.path("probabilities"))
        return [path for path, added in found if added <= {"stat", "label", "atlas"}]


def describe_decoding(
    model: VolumeModel, volumes: CleanedVolumes, request: DecodingRequest
) -> dict[str, Any]:
    """Say for a sidecar what was decoded, and with what."""
    architecture = model.network.architecture
    return {
        **SOFTWARE,
        ORIGIN.sources: [str(request.bold), str(request.mask)],
        "Architecture": architecture.kind.upper(),
        "Decoder": dict(model.provenance),
        "SmoothingFWHM": model.cleaning.smoothing_fwhm,
        "HighPassHz": model.cleaning.high_pass,
        "Cleaning": model.cleaning.strategy,
        "Regressors": list(volumes.regressors),
        "VolumesLeftOut": np.flatnonzero(~volumes.kept).tolist(),
        "RepetitionTime": volumes.repetition_time,
        "Notes": list(volumes.notes),
    }


def name_states(states: Sequence[str]) -> list[str]:
    """Names of states, with a number where another one has the name already."""
    names: list[str] = []
    for state in states:
        numbered = (f"{state}{k}" for k in count(2))
        names.append(next(name for name in chain([state], numbered) if name not in names))
    return names


def spell_states(names: Sequence[str]) -> dict[str, str]:
    """Names of states as an entity of a file's name may hold them."""
    return dict(
        zip(names, name_states([UNSPELLED.sub("", one) or "state" for one in names]), strict=True)
    )
