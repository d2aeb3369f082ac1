"""URIs of sources in sidecars."""

from pathlib import Path

from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.uris import bids_uri


def test_bids_uri(tmp_path: Path) -> None:
    """The innermost dataset names a file; our own has no name; others are file URIs."""
    raw = Dataset("study", tmp_path, "raw", "", "")
    prep = Dataset("fmriprep", tmp_path / "derivatives/f", "derivative", "fmriprep", "")
    path = tmp_path / "derivatives/f/sub-01/func/x.nii.gz"
    assert bids_uri(path, [raw, prep]) == "bids:fmriprep:sub-01/func/x.nii.gz"
    assert bids_uri(tmp_path / "sub-01/x", [raw, prep]) == "bids:study:sub-01/x"
    own = tmp_path / "out"
    assert bids_uri(own / "sub-01/x", [prep], output_dir=own) == "bids::sub-01/x"
    assert bids_uri(Path("/elsewhere/x y"), [prep]) == "file:///elsewhere/x%20y"
