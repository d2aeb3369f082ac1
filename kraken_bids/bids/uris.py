"""URIs of files, as sidecars name their sources."""

from collections.abc import Sequence
from pathlib import Path

from kraken_bids.bids.datasets import Dataset


def bids_uri(path: Path, datasets: Sequence[Dataset], *, output_dir: Path | None = None) -> str:
    """URI of a file, as sidecars name their ``Sources``.

    Parameters
    ----------
    datasets : sequence of Dataset
        The innermost one that holds the file gives the name: ``bids:fmriprep:sub-01/func/…``.
    output_dir : path, optional
        Our own dataset: ``bids::sub-01/func/…``.

    Returns
    -------
    str
        A ``file:`` URI where no dataset holds it.
    """
    absolute = Path(path).absolute()
    roots = [(d.path.absolute(), d.name) for d in datasets]
    roots += [(Path(output_dir).absolute(), "")] if output_dir else []
    holders = [(root, name) for root, name in roots if absolute.is_relative_to(root)]
    if not holders:
        return absolute.as_uri()
    root, name = max(holders, key=lambda holder: len(holder[0].parts))
    return f"bids:{name}:{absolute.relative_to(root).as_posix()}"
