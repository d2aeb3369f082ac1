"""The datasets that single files belong to, where nobody has named any."""

from collections.abc import Iterable
from pathlib import Path

from kraken_bids.bids.datasets import DESCRIPTION, Dataset, describe_folder, make_unique


def find_source_datasets(files: Iterable[Path], output_dir: Path) -> tuple[Dataset, ...]:
    """Find the datasets that files lie in: of each, the innermost folder with a description.

    Parameters
    ----------
    files : iterable of path
        They need not be there. Those in no dataset, such as a workflow's own, are passed over.
    output_dir : path
        Our own dataset, which is no source.

    Returns
    -------
    tuple of Dataset
        Each once, with names of their own, in the order of the files.
    """
    folders = dict.fromkeys(Path(file).absolute().parent for file in files)
    roots = dict.fromkeys(root for folder in folders if (root := _find_root(folder)) is not None)
    own = output_dir.resolve()
    found = (describe_folder(root) for root in roots if root.resolve() != own)
    return make_unique(dataset for dataset in found if dataset is not None)


def _find_root(folder: Path) -> Path | None:
    for one in (folder, *folder.parents):
        if one.name == "freesurfer" or (one / DESCRIPTION).is_file():
            return one
    return None
