"""What a BOLD series has been through before it comes here, and what follows for its cleaning."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kraken_bids.bids.transforms import FslTransform


@dataclass(frozen=True)
class BoldOrigin:
    """Pipeline that preprocessed a BOLD series."""

    name: str
    """For sidecars and messages."""
    motion: Literal["fmriprep", "hcp", "mcflirt"]
    """Table of motion: fMRIPrep's confounds; HCP's ``Movement_Regressors.txt`` (mm, degrees);
    MCFLIRT's ``.par`` (radians, mm)."""
    drop_volumes: int | None
    """First volumes that are left out unless the user says; None: as its confounds say."""
    note: str
    """What a sidecar must say of it beside the training data of the published model."""


FMRIPREP = BoldOrigin(
    "fMRIPrep or of its kind",
    "fmriprep",
    None,
    "no ICA-FIX was applied, while the published model was trained on ICA-FIX data",
)
HCP_FIX = BoldOrigin(
    "HCP minimal preprocessing with ICA-FIX",
    "hcp",
    10,
    "ICA-FIX was applied, as to the data that the published model was trained on; motion, which "
    "FIX may have regressed already, is regressed as in their cleaning",
)
HCP_MINIMAL = BoldOrigin(
    "HCP minimal preprocessing without ICA-FIX",
    "hcp",
    10,
    "no ICA-FIX was applied, while the published model was trained on ICA-FIX data",
)
UK_BIOBANK_FIX = BoldOrigin(
    "UK Biobank's pipeline with ICA-FIX",
    "mcflirt",
    5,
    "ICA-FIX was applied, trained on UK Biobank, after a high-pass of 100 s; the published model "
    "was trained on ICA-FIX data of the HCP with 2,000 s",
)
"""Volumes dropped: as the model's authors do for HCP data and for others.

Source: fmriclean, ``run_aws_hcp_download_fmriclean_upload_delete.sh``, ``--skipvols``."""


@dataclass(frozen=True)
class TissueImage:
    """An image that shows a tissue, where no probability map lies in the space of the BOLD."""

    path: Path
    labels: tuple[int, ...] = ()
    """Labels of the tissue; none: the image is a map, and the tissue where it is above 0.5."""
    fsl: tuple[FslTransform, ...] = ()
    """Points of the BOLD's space pass through them into the space of the image."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that is read."""
        return (self.path, *(path for one in self.fsl for path in one.files))
