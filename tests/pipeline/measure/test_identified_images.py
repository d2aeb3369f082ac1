"""What is doubtful about a label image, in the sidecars of all that were measured with it."""

from pathlib import Path

from kraken_bids.parcellations import load_parcellation
from kraken_bids.pipeline.measure.identified_images import list_doubts, note_doubt


def test_doubts_of_bold_are_none_of_tractograms(tmp_path: Path) -> None:
    """Both may use one image, in either order: a sidecar says the same whichever was first."""
    path, parcellation = tmp_path / "dseg.nii.gz", load_parcellation("fs86")
    path.touch()
    before = list_doubts(path, parcellation)

    note_doubt(path, parcellation, "its edge cuts through regions")

    assert list_doubts(path, parcellation) == before == []
    said = ["dseg.nii.gz: its edge cuts through regions"]
    assert list_doubts(path, parcellation, of_bold=True) == said
