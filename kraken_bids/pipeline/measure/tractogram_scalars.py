"""Images whose means along streamlines become edges."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from kraken_bids.bids.query import fill_template
from kraken_bids.bids.tractographies import Tractography
from kraken_bids.connectome.structural.track_samples import TrackSampler
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.endpoints import holds_ends_only
from kraken_bids.io.images import read_image
from kraken_bids.pipeline.measure.tasks import SessionTask
from kraken_bids.pipeline.measure.tractogram_options import check_scalar_names


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


def find_scalars(task: SessionTask) -> dict[str, Path]:
    """Image of each scalar of a session.

    Raises
    ------
    SettingsError
        If one is called as no matrix can be.
    InputError
        If one is not there.
    """
    templates = task.settings.structural.scalars
    check_scalar_names(templates)
    session = task.session
    paths = {n: fill_template(t, session.subject, session.session) for n, t in templates.items()}
    for name, path in paths.items():
        if not path.is_file():
            raise InputError(
                f"expected the image of {name} at {path} (--scalar {name}={templates[name]}); "
                "nothing is there. Check the path, or leave the participant out."
            )
    return paths


def list_further(
    task: SessionTask, tracts: Tractography, measure: str, scalars: Iterable[str]
) -> list[Flavor]:
    """List matrices beside those that a model takes, of every atlas; weighted too with weights."""
    if holds_ends_only(tracts.tracks):
        return []
    metrics = [*task.settings.structural.edges, *(f"mean{name}" for name in scalars)]
    if tracts.weights is not None:
        metrics += [f"sift2{metric}" for metric in metrics]
    return [Flavor(measure, atlas, metric) for atlas in tracts.labels for metric in metrics]
