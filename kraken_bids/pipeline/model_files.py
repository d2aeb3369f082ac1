"""Model files: converted between the published format and ours, merged, described."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import compute_sha256
from kraken_bids.models.krakencoder.checkpoint import (
    TRAINING_NAME,
    WEIGHTS_NAME,
    write_model,
)
from kraken_bids.models.krakencoder.described_atlases import DESCRIPTION_NAME
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.merge import merge_models
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.published_writer import write_upstream
from kraken_bids.models.training_record import TRAINING
from kraken_bids.pipeline.training_description import TOLD, describe_training
from kraken_bids.published.models import PRETRAINED, find_published, is_published
from kraken_bids.region_orders import count_regions

CHECKPOINT_SUFFIX = ".pt"


def convert_model(
    model: str, output: Path, *, transforms: Sequence[Path] = ()
) -> tuple[Model, tuple[Path, ...]]:
    """Read a model and write it in the other format, or the same one.

    Parameters
    ----------
    model : str
        As :func:`kraken_bids.models.krakencoder.load.load_model` takes it.
    output : Path
        ``FILE.pt`` for the published format, else a folder of ours.
    transforms : sequence of Path
        Transforms of a published ``.pt``.

    Returns
    -------
    model : Model
        With the SHA-256 of the files behind it under ``Files`` in its provenance.
    written : tuple of Path

    Raises
    ------
    SettingsError
        If the output is the input, or a file that is no ``.pt``.
    KrakenBidsError
        As reading and writing do.
    """
    check_model_output(output, [model])
    loaded = read_with_hashes(model, transforms)
    return loaded, write_as(loaded, output)


def merge_model_files(
    models: Sequence[str], output: Path, *, transforms: Sequence[Path] = ()
) -> tuple[Model, tuple[Path, ...]]:
    """Read models, join them, and write the result; see :func:`convert_model`.

    Raises
    ------
    SettingsError
        If there are fewer than two models.
    KrakenBidsError
        As reading, merging and writing do.
    """
    if len(models) < 2:
        raise SettingsError(f"expected two models or more to merge; found {len(models)}.")
    check_model_output(output, models)
    merged = merge_models([read_with_hashes(one, transforms) for one in models], output.stem)
    return merged, write_as(merged, output)


def check_model_output(output: Path, models: Sequence[str]) -> None:
    """Raise SettingsError unless a model can be written there without harm to those read."""
    is_file = output.suffix == CHECKPOINT_SUFFIX
    if output.is_dir() if is_file else output.exists() and not output.is_dir():
        found = "a folder" if is_file else "a file" if output.is_file() else "a pipe or device"
        raise SettingsError(
            f"expected --output DIR or FILE{CHECKPOINT_SUFFIX}; found {output}, which is {found}."
        )
    if not is_file and (output / TRAINING_NAME).exists():
        raise SettingsError(
            f"expected --output DIR of its own; found the folder of a training in {output}, whose "
            "history and splits would stand beside another model. Give another folder."
        )
    for model in models:
        if Path(model).exists() and output.exists() and output.samefile(model):
            raise SettingsError(
                f"expected --output elsewhere than the model that is read; found {output} for "
                "both."
            )


def read_with_hashes(model: str, transforms: Sequence[Path] = ()) -> Model:
    """Load a model onto the CPU, with the SHA-256 of the files behind it in its provenance."""
    loaded = load_model(model, transforms=transforms, device="cpu")
    files = dict(loaded.provenance.get("Files", {})) | hash_files(model, loaded, transforms)
    return replace(loaded, provenance={**loaded.provenance, "Files": files})


def hash_files(model: str, loaded: Model, transforms: Sequence[Path] = ()) -> dict[str, str]:
    """SHA-256 of the files that a loaded model came from, by their names."""
    paths = list_model_paths(model, loaded, transforms)
    return {path.name: compute_sha256(path) for path in paths}


def list_model_paths(
    model: str, loaded: Model, transforms: Sequence[Path] = ()
) -> tuple[Path, ...]:
    """Files that a loaded model came from."""
    path = Path(model)
    if model == PRETRAINED or (is_published(model) and not path.exists()):
        checkpoint, published = find_published(model)
        return checkpoint, *_list_used(transforms or published, loaded)
    if path.suffix == CHECKPOINT_SUFFIX:
        return path, *_list_used(transforms or path.parent.glob("*"), loaded)
    folder = path.parent if path.name == DESCRIPTION_NAME else path
    return folder / DESCRIPTION_NAME, folder / WEIGHTS_NAME


def _list_used(transforms: Iterable[Path], loaded: Model) -> list[Path]:
    """Transform files that something was taken of."""
    names = loaded.provenance["Transforms"]
    return sorted((path for path in transforms if path.name in names), key=lambda p: p.name)


def write_as(model: Model, output: Path) -> tuple[Path, ...]:
    """Write a model in the format that the name of the output says."""
    if output.suffix == CHECKPOINT_SUFFIX:
        return write_upstream(model, output)
    folder = write_model(model, output)
    return folder / DESCRIPTION_NAME, folder / WEIGHTS_NAME


COLUMNS = ("flavor", "group", "regions", "edges", "transform", "values", "training mean")


HIDDEN_PROVENANCE = {
    "Files",
    TRAINING.subjects,
    "merged_source_net_idx",
    "merged_source_input_idx",
}
"""Long lists that people do not read; they are in the JSON."""


def describe_model(model: str, *, transforms: Sequence[Path] = ()) -> dict[str, Any]:
    """Say what is inside a model, as plain values.

    Parameters
    ----------
    model : str
        As :func:`kraken_bids.models.krakencoder.load.load_model` takes it.
    transforms : sequence of Path
        Transforms of a published ``.pt``.

    Returns
    -------
    dict
        ``name``, ``sha256``, ``latent_size``, ``n_parameters``, ``architecture``, ``flavors`` (a
        list of one dict each), ``files`` (name to SHA-256) and ``provenance``.

    Raises
    ------
    KrakenBidsError
        If it cannot be read.
    """
    loaded = load_model(model, transforms=transforms, device="cpu")
    shared = loaded.network.architecture.to_json()
    return {
        "name": loaded.name,
        "sha256": loaded.sha256,
        "latent_size": loaded.latent_size,
        "n_parameters": loaded.network.n_parameters,
        "architecture": {k: v for k, v in shared.items() if k not in {"flavors", "input_sizes"}},
        "flavors": [_describe_flavor(loaded, flavor) for flavor in loaded.flavors],
        "files": hash_files(model, loaded, transforms),
        "provenance": dict(loaded.provenance),
    }


def format_description(description: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that people read, from what :func:`describe_model` gives."""
    arch = description["architecture"]
    yield f"{description['name']}  (SHA-256 {description['sha256']})"
    yield f"{len(description['flavors'])} flavors, {description['n_parameters']:,} parameters"
    scaling = ", scaled to unit length" if arch["latent_normalize"] else ""
    yield f"latent of {description['latent_size']} values{scaling}"
    yield f"hidden layers: {', '.join(map(str, arch['hidden_sizes'])) or 'none'}"
    if arch["group_paths"]:
        yield f"latents translated: {', '.join(arch['group_paths'])}"
    yield ""
    yield from _align([COLUMNS, *(_list_cells(row) for row in description["flavors"])])
    yield ""
    yield from (f"{name}  SHA-256 {digest}" for name, digest in description["files"].items())
    told = list(describe_training(description["provenance"]))
    yield from told
    for key, value in description["provenance"].items():
        if key not in HIDDEN_PROVENANCE | (TOLD if told else set()):
            yield f"{key}: {_shorten(value)}"


def _describe_flavor(model: Model, flavor: Flavor) -> dict[str, Any]:
    reduction = model.reductions[flavor]
    mean = reduction.training_mean
    return {
        "flavor": flavor.name,
        "group": flavor.group,
        "parcellation": flavor.parcellation,
        "n_regions": count_regions(reduction.n_edges) or None,
        "n_edges": reduction.n_edges,
        "transform": reduction.kind,
        "n_values": reduction.n_components,
        "training_mean": None
        if mean is None
        else {"mean": float(mean.mean(dtype=float)), "sd": float(mean.std(dtype=float))},
    }


def _list_cells(row: dict[str, Any]) -> tuple[str, ...]:
    mean = row["training_mean"]
    return (
        row["flavor"],
        row["group"],
        str(row["n_regions"] or "?"),
        str(row["n_edges"]),
        row["transform"],
        str(row["n_values"]),
        f"{mean['mean']:.4g} ± {mean['sd']:.4g}" if mean else "none: cannot be adapted",
    )


def _align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _shorten(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "; ".join(
            f"{one.get('Name', '?')} ({len(one.get('Flavors', ()))})" for one in value
        )
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
