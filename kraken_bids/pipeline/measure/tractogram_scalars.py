"""Images whose means along streamlines become edges."""

from collections.abc import Mapping
from pathlib import Path

from kraken_bids.connectome.structural.track_samples import TrackSampler
from kraken_bids.io.images import read_image


def open_samplers(scalars: Mapping[str, Path]) -> dict[str, TrackSampler]:
    """Read the images whose means along streamlines are wanted.

    Raises
    ------
    InputError
        If one is missing, damaged, or not 3D.
    """
    samplers = {}
    for name, path in scalars.items():
        samplers[name] = TrackSampler(*read_image(path))
    return samplers


def describe_samples(samplers: Mapping[str, TrackSampler]) -> list[str]:
    """Say how many streamlines have no whole mean in an image."""
    doubts = []
    for name, one in samplers.items():
        if one.n_outside:
            doubts.append(
                f"{one.n_outside} of {one.n_tracks} streamlines leave the image of {name}, where "
                "it counts as 0, as in tcksample. Does it cover the brain, in the tractogram's "
                "space?"
            )
        if one.n_unknown:
            doubts.append(
                f"{one.n_unknown} of {one.n_tracks} streamlines pass through values of {name} "
                "that are no numbers, so that their edges are NaN."
            )
    return doubts
