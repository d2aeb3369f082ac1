"""Write ``kraken_bids/data/centroids.tsv``: where the regions of the parcellations lie, in MNI mm.

Run once, from the repository, with the folder of the published label images:
``python scripts/write_centroids.py ../shared/atlases``. The images stay where they are; the
positions of regions are facts and go into the package.
"""

import sys
from pathlib import Path

import numpy as np

from kraken_bids.io.images import read_labels
from kraken_bids.parcellations import load_parcellation
from kraken_bids.scores.motion_dependence import region_centroids

IMAGES = {
    "fs86": "fs86_allsubj_mode.nii.gz",
    "shen268": "shen268_MNI1mm_dil1.nii.gz",
    "coco439": "cocommpsuit439_allsubj_mode.nii.gz",
}
"""fs86 and coco439 are the mode over 420 people: enough for distances between regions."""
TABLE = Path(__file__).resolve().parents[1] / "kraken_bids" / "data" / "centroids.tsv"


def main(folder: Path) -> None:
    """Write the table from the label images in a folder."""
    rows = ["parcellation\tindex\tx\ty\tz"]
    for name, image in IMAGES.items():
        n_regions = load_parcellation(name).n_regions
        labels, affine = read_labels(folder / image)
        places = region_centroids(labels, affine, n_regions)
        missing = np.flatnonzero(np.isnan(places).any(axis=1)) + 1
        if missing.size:
            raise SystemExit(f"{folder / image}: no voxels of the regions {missing.tolist()}")
        rows += [
            "\t".join([name, str(index), *(f"{value:.1f}" for value in place)])
            for index, place in enumerate(places, start=1)
        ]
    TABLE.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
