"""``kraken-tools convert``, ``describe`` and ``merge``: model files."""

import json
from pathlib import Path

import click

from kraken_bids.cli.options import FILE, tool, transforms_option

output_option = click.option(
    "--output",
    type=FILE,
    required=True,
    metavar="DIR|FILE.pt",
    help="A folder: model.json and weights.safetensors. FILE.pt: the published format, with its "
    "kraken_ioxfm_*.npy beside it.",
)


@tool()
@click.argument("model")
@transforms_option
@output_option
def convert(model: str, transforms: tuple[Path, ...], output: Path) -> None:
    """Write a model in the other format: ours or the published one.

    MODEL is a model folder, a published .pt file, pretrained, or a published flavor. A folder
    loads in a moment and runs no code; FILE.pt also loads in the reference release.
    """
    from kraken_bids.pipeline.model_files import convert_model

    converted, written = convert_model(model, output, transforms=transforms)
    click.echo(f"{len(converted.flavors)} flavors: {', '.join(map(str, written))}")


@tool()
@click.argument("models", nargs=-1, required=True, metavar="MODEL MODEL ...")
@transforms_option
@output_option
def merge(models: tuple[str, ...], transforms: tuple[Path, ...], output: Path) -> None:
    """Join models that share one latent space.

    The first gives all its flavors, each other one those that are not there yet. Each MODEL is a
    model folder, a published .pt file, pretrained, or a published flavor. --transforms are those
    of all the .pt files together.
    """
    from kraken_bids.pipeline.model_files import merge_model_files

    merged, written = merge_model_files(models, output, transforms=transforms)
    click.echo(f"{len(merged.flavors)} flavors: {', '.join(map(str, written))}")


@tool()
@click.argument("model")
@transforms_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def describe(model: str, transforms: tuple[Path, ...], as_json: bool) -> None:
    """Say what is inside a model: flavors, layers, transforms, origin, hashes.

    MODEL is a model folder, a published .pt file, pretrained, or a published flavor.
    """
    from kraken_bids.pipeline.model_files import describe_model, format_description

    description = describe_model(model, transforms=transforms)
    if as_json:
        click.echo(json.dumps(description, indent=1))
        return
    for line in format_description(description):
        click.echo(line)
