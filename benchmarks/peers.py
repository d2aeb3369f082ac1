"""The floor and the peers of ``bench_participant.py``, each in a process of its own.

``floor BIDS``: inflate every BOLD file, read every tractogram. ``nilearn BIDS``: region series of
one run and atlas, cleaned. ``labels BIDS OUT``: a label image on the tractogram's grid.
"""

import sys
from pathlib import Path

from participant_data import SUBJECT, TR, list_bold, list_tracks


def read_bytes(bids: Path) -> None:
    """Inflate and read, and do nothing with it: no program that reads all can be faster."""
    from isal import igzip

    buffer = bytearray(1 << 22)
    for path in list_bold(bids):
        with igzip.open(path) as stream:
            while stream.readinto(buffer):
                pass
    for path in list_tracks(bids):
        with path.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def mask_with_nilearn(bids: Path) -> None:
    """Region series of the first template run, with 24 motion regressors and a high-pass."""
    import pandas as pd
    from nilearn.maskers import NiftiLabelsMasker

    bold = next(path for path in list_bold(bids) if "space-MNI" in path.name)
    table = bold.name.partition("_space-")[0] + "_desc-confounds_timeseries.tsv"
    columns = pd.read_csv(bold.with_name(table), sep="\t")
    motion = columns.loc[:, columns.columns.str.startswith(("trans_", "rot_"))].fillna(0)
    (atlas,) = (bids / "derivatives" / "atlases").rglob("*_atlas-shen268_*dseg.nii.gz")
    masker = NiftiLabelsMasker(
        str(atlas), resampling_target="data", standardize="zscore_sample", high_pass=0.01, t_r=TR
    )
    series = masker.fit_transform(str(bold), confounds=motion.to_numpy())
    assert series.shape[1] == 268, series.shape


def write_tractogram_labels(bids: Path, path: Path) -> None:
    """Regions of fs86 in tractogram space, as the program itself carries them there."""
    import nibabel

    from kraken_bids.bids.label_images import LabelImage
    from kraken_bids.parcellations import load_parcellation
    from kraken_bids.pipeline.measure.label_grids import regions_for_tractogram

    derivatives = bids / "derivatives"
    image = LabelImage(
        "fs86",
        derivatives / "fmriprep" / SUBJECT / "anat" / f"{SUBJECT}_desc-aparcaseg_dseg.nii.gz",
        "T1w",
        tuple((derivatives / "qsirecon").rglob("*_from-T1w_to-ACPC_*.txt")),
    )
    labels, affine = regions_for_tractogram(image, load_parcellation("fs86"))
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)


if __name__ == "__main__":
    task, folder = sys.argv[1], Path(sys.argv[2])
    if task == "floor":
        read_bytes(folder)
    elif task == "nilearn":
        mask_with_nilearn(folder)
    else:
        write_tractogram_labels(folder, Path(sys.argv[3]))
