"""Matrices of a session beside those that a model takes: lengths, and means of its images."""

from collections.abc import Iterable
from pathlib import Path

from kraken_bids.bids.query import fill_template
from kraken_bids.bids.tractographies import Tractography
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.endpoints import holds_ends_only
from kraken_bids.pipeline.measure.tasks import SessionTask
from kraken_bids.pipeline.measure.tractogram_options import check_scalar_names


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
