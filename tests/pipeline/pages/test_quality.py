"""What the group's report says of quality."""

from pathlib import Path

import numpy as np

from kraken_bids.bids.outputs import relmat_path, sidecar_path
from kraken_bids.bids.write import write_json, write_relmat
from kraken_bids.flavors import parse_flavor
from kraken_bids.pipeline.pages.quality import list_too_few_frames
from kraken_bids.pipeline.predictions.cohort import list_members


def test_partial_correlations_of_few_frames_are_counted(tmp_path: Path) -> None:
    """Two of three sessions have fewer frames than regions; a correlation does not mind."""
    for name in ("FCpcorr_fs86_hpf", "FCcorr_fs86_hpf"):
        flavor = parse_flavor(name)
        for subject, frames in (("01", 60), ("02", 85), ("03", 86)):
            path = relmat_path(tmp_path, {"sub": subject}, flavor, source=None)
            write_relmat(path, np.eye(86))
            write_json(sidecar_path(path), {"Frames": frames, "RegionsMeasured": 86})
    (text,) = list_too_few_frames(tmp_path, list_members(tmp_path))
    assert text.startswith("FCpcorr_fs86_hpf: in 2 of 3 sessions fewer frames are left")
