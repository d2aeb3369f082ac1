"""What a participant's page shows of where labels and streamlines lie."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Registration:
    """One picture: contours of a parcellation's regions on the images of the participant."""

    name: str
    """Name of the figure."""
    title: str
    """``fs86 in T1w``."""
    png: bytes
    """Drawn when the connectomes were measured, from images that the page does not need."""
    is_structural: bool = False
    """Whether streamlines are in it."""
