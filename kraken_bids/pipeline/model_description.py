"""What is inside a model: plain values for machines, lines for people."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kraken_bids.connectome.matrices import n_regions_of
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.model_files import hash_files

COLUMNS = ("flavor", "group", "regions", "edges", "transform", "values", "training mean")
HIDDEN_PROVENANCE = {"Files", "Subjects", "merged_source_net_idx", "merged_source_input_idx"}
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
    for key, value in description["provenance"].items():
        if key not in HIDDEN_PROVENANCE:
            yield f"{key}: {_shorten(value)}"


def _describe_flavor(model: Model, flavor: Flavor) -> dict[str, Any]:
    reduction = model.reductions[flavor]
    mean = reduction.training_mean
    return {
        "flavor": flavor.name,
        "group": flavor.group,
        "parcellation": flavor.parcellation,
        "n_regions": _count_regions(reduction.n_edges),
        "n_edges": reduction.n_edges,
        "transform": reduction.kind,
        "n_values": reduction.n_components,
        "training_mean": None
        if mean is None
        else {"mean": float(mean.mean(dtype=float)), "sd": float(mean.std(dtype=float))},
    }


def _count_regions(n_edges: int) -> int | None:
    """Regions behind the edges; None where the vectors are no triangles of matrices."""
    try:
        return n_regions_of(n_edges)
    except ConnectomeError:
        return None


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
