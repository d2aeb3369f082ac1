"""Groups of a TRX as regions: which of them streamlines join is known, and not searched."""

from pathlib import Path

import numpy as np

from kraken_bids.connectome.structural.tally import base_of
from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError, name_few
from kraken_bids.io.trx import open_trx
from kraken_bids.parcellations import load_parcellation
from kraken_bids.pipeline.measure.structural_connectomes import CountedAtlas, start_tally
from kraken_bids.pipeline.measure.tractogram_options import TractogramOptions
from kraken_bids.region_spellings import place_regions


def prepare_groups(name: str, path: Path, options: TractogramOptions) -> CountedAtlas:
    """Regions of every streamline by the groups of a TRX that are named as regions of an atlas.

    A streamline of two groups joins them; one of a single group joins nothing, since groups do
    not say whether both of its ends lie there. Groups of other names (bundles) are passed over.

    Parameters
    ----------
    name : str
        An atlas of the package; its regions tell what groups are called.
    path : Path
        The tractogram itself, or one of as many streamlines in the same order.

    Raises
    ------
    SettingsError
        If volumes are asked for, which groups do not have.
    InputError
        If no group is named as a region.
    ConnectomeError
        If a streamline is in more than two regions.
    """
    if any(base_of(metric) == "volnorm" for metric in options.all_metrics):
        raise SettingsError(
            f"--labels {name}={path}: groups of a TRX have no volumes; found --metric volnorm. "
            "Give a label image, or leave out volnorm and sift2volnorm."
        )
    table = load_parcellation(name)
    tracks = open_trx(path)
    groups = tracks.read_groups()
    places = place_regions(table, list(groups)) if groups else np.empty(0, np.intp)
    if not (places >= 0).any():
        raise InputError(
            f"expected groups that are called as the regions of {name} in {path}; found "
            f"{name_few(list(groups)) or 'none'}. Give a label image, or name them so."
        )
    pairs = np.zeros((tracks.n_declared, 2), np.int32)
    n_found = np.zeros(tracks.n_declared, np.int64)
    for place, own in zip(places.tolist(), groups.values(), strict=True):
        if place < 0:
            continue
        members = np.unique(own)
        if (n_found[members] > 1).any():
            raise ConnectomeError(
                f"expected every streamline in two regions at most in {path}; found streamline "
                f"{int(members[n_found[members] > 1][0]) + 1} in three. Are the groups those of "
                "its ends?"
            )
        pairs[members, np.minimum(n_found[members], 1)] = place + 1
        n_found[members] += 1
    n_voxels = np.isin(np.arange(table.n_regions), places).astype(np.int64)
    return CountedAtlas(name, path, None, start_tally(n_voxels, 1.0, options), pairs)
