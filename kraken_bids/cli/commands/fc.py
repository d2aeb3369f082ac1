"""``kraken-tools fc``: one BOLD run and label images in, functional connectomes out."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.app_settings import fill
from kraken_bids.cli.cleaning_options import cleaning_options, template_options
from kraken_bids.cli.options import FILE, ListOption, paths, tool
from kraken_bids.settings import FunctionalSettings


@tool()
@click.argument("bold", type=FILE)
@click.option(
    "--labels",
    "images",
    cls=ListOption,
    metavar="ATLAS=IMAGE ...",
    help="Label images in the space of the run, or of another template that a transform leads "
    "to, on any grid. fs86 and other atlases of the model "
    "keep their regions, and fs86 may hold FreeSurfer's numbers (aparc+aseg). Of any other atlas, "
    "each label is a region; a .tsv beside the image (columns index and name) says which, in "
    "which order, and how they are called.",
)
@click.option(
    "--maps",
    cls=ListOption,
    metavar="ATLAS=IMAGE4D ...",
    help="Probabilistic atlases, such as DiFuMo: a map for each region, in the space of the run, "
    "on any grid. Series are the least squares of each volume on all maps. A .tsv beside the "
    "image (columns index, from 1, and name) names the regions.",
)
@click.option(
    "--confounds",
    type=FILE,
    metavar="TSV",
    help="fMRIPrep's desc-confounds_timeseries.tsv, with its .json beside it; not for BOLD that "
    "is cleaned already (desc-denoised, desc-fix ...), which is taken as it is.",
)
@click.option("--mask", type=FILE, metavar="IMAGE", help="Brain mask  [every voxel]")
@click.option(
    "--tissue",
    "tissues",
    cls=ListOption,
    metavar="GM=IMAGE WM=IMAGE CSF=IMAGE",
    help="Tissue probabilities, for the grey-matter signal and the components  [what the "
    "confounds hold of them]",
)
@click.option(
    "--lesion-mask",
    type=FILE,
    metavar="IMAGE",
    help="Lesion mask, in the space of the run or as the label images: its voxels belong to no "
    "region, no tissue and no brain mask.",
)
@template_options
@cleaning_options
@click.option("--output-dir", type=FILE, required=True, metavar="DIR")
def fc(
    bold: Path,
    images: tuple[str, ...],
    maps: tuple[str, ...],
    confounds: Path | None,
    mask: Path | None,
    tissues: tuple[str, ...],
    lesion_mask: Path | None,
    transforms_dir: Path | None,
    allow_template_mismatch: bool,
    output_dir: Path,
    **cleaning: Any,
) -> None:
    """Correlate the regions of several atlases, from one read of a preprocessed BOLD run.

    Writes ATLAS_timeseries.tsv, ATLAS_cleaned.tsv, ATLAS_cleaned-gsr.tsv, ATLAS_coverage.tsv, and
    the matrices FCcorr_ATLAS_hpf.tsv, FCcorr_ATLAS_hpfgsr.tsv and FCpcorr_ATLAS_hpf.tsv into DIR,
    each with a .json that says how.
    """
    settings = fill(FunctionalSettings, cleaning)
    from kraken_bids.bids.transforms import TemplateOptions
    from kraken_bids.pipeline.measure.bold_tool import write_bold_connectomes
    from kraken_bids.pipeline.measure.single_run import describe_run

    tissue = paths("--tissue", tissues)
    written = write_bold_connectomes(
        describe_run(bold, confounds, mask=mask, tissue=tissue, lesion=lesion_mask),
        paths("--labels", images),
        settings,
        output_dir,
        templates=TemplateOptions(transforms_dir, allows_mismatch=allow_template_mismatch),
        maps=paths("--maps", maps),
    )
    click.echo(f"{len(written)} matrices: {output_dir}")
