"""``kraken-tools predict``: connectome files in, latents and predictions out."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.adaptation_options import SUBJECTS, site_options
from kraken_bids.cli.options import FILE, ListOption, option, tool, transforms_option
from kraken_bids.cli.recipe_options import model_option, participants_option
from kraken_bids.io.output_streams import is_stream


@tool()
@model_option
@transforms_option
@click.option(
    "--input",
    "inputs",
    cls=ListOption,
    required=True,
    metavar="FLAVOR=FILE ...",
    help="Connectomes: .npz, .npy, .mat, .h5 or .tsv, [subjects, regions, regions] or "
    "[subjects, edges]; a file with flavors as keys, or a folder or zip of BIDS-named TSVs, goes "
    "without FLAVOR.",
)
@option(
    "--adaptation-mode",
    type=click.Choice(
        ["auto", "none", "meanshift", "meanfit", "meanfit+meanshift", "meanfitshift"]
    ),
    default="auto",
    help="How to adapt to the training domain; auto is meanfit+meanshift from 10 subjects on.",
)
@click.option("--adaptation", type=FILE, metavar="FILE", help="A saved adaptation to use.")
@click.option(
    "--adaptation-source",
    "adaptation_sources",
    cls=ListOption,
    metavar="FLAVOR=FILE ...",
    help="Connectomes whose mean is fitted  [the inputs]",
)
@click.option(
    "--save-adaptation",
    type=FILE,
    metavar="FILE",
    help="Keep the fitted adaptation (.h5 and .json).",
)
@SUBJECTS
@site_options
@participants_option
@click.option(
    "--fusion",
    "fusions",
    cls=ListOption,
    metavar="NAME=SELECTOR ...",
    help="A source of your own: flavors or patterns, comma-separated (fs86=*_fs86_*).",
)
@click.option("--exclude-self", is_flag=True, help="Also fusions without the predicted flavor.")
@click.option(
    "--exclude-atlas", is_flag=True, help="Also fusions without the predicted parcellation."
)
@click.option("--renormalize-fusion", is_flag=True, help="Scale fused latents to unit length.")
@click.option(
    "--sources",
    cls=ListOption,
    metavar="SOURCE ...",
    help="fusion, fusionSC, fusionFC, a flavor, or each  [fusion fusionSC fusionFC]",
)
@click.option(
    "--targets",
    cls=ListOption,
    metavar="FLAVOR ...",
    help="Flavors to predict, or patterns  [all]",
)
@option("--device", default="auto", metavar="auto|cpu|cuda[:N]")
@click.option(
    "--output",
    type=FILE,
    required=True,
    metavar="FILE|DIR",
    help="FILE.npz, .mat or .h5; or BIDS-named TSVs in a folder or .zip.",
)
def predict(
    model: str,
    transforms: tuple[Path, ...],
    inputs: tuple[str, ...],
    device: str,
    output: Path,
    **options: Any,
) -> None:
    """Predict connectomes and latents from connectome files.

    FILE.npz holds SOURCE->TARGET [subjects, edges], SOURCE->encoded [subjects, latent] and
    subjects; FILE.mat the same as predicted_alltypes.SOURCE.TARGET. --input encoded=FILE takes
    latents and decodes them: such a file, latents.tsv, or a folder or .zip of such tables.
    """
    from kraken_bids.pipeline.predict.prediction_options import PredictionOptions

    asked = PredictionOptions(**options, inputs=inputs)
    # numpy and the model's code are loaded only once the options are known to be sound
    from kraken_bids.io.matlab_bounds import is_version_73

    mats = [Path(one.rpartition("=")[2]) for one in inputs if one.endswith(".mat")]
    if any(path.is_file() and is_version_73(path) for path in mats):
        from kraken_bids.io.foreign import start_reading

        start_reading("kraken_bids.io.matlab_hdf5", "h5py")
    from kraken_bids.cohort.subject_names import count_labels
    from kraken_bids.pipeline.file_predictions import predict_files

    found = predict_files(inputs, model, output, asked, transforms=transforms, device=device)
    line = f"{count_labels(found.subjects)}, {len(found.shapes())} arrays: {output}"
    click.echo(line, err=is_stream(output))  # standard output may be the file's
