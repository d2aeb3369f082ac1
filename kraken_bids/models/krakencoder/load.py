"""One door for every model: a folder of ours, a published checkpoint, or a published name."""

import logging
from collections.abc import Iterable
from pathlib import Path

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import suggest
from kraken_bids.models.krakencoder.checkpoint import read_model
from kraken_bids.models.krakencoder.described_atlases import DESCRIPTION_NAME
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.published_checkpoint import read_upstream
from kraken_bids.published.models import (
    PRETRAINED,
    find_published,
    is_published,
    list_published_flavors,
)

logger = logging.getLogger(__name__)


def load_model(
    path: Path | str, *, transforms: Path | str | Iterable[Path | str] = (), device: str = "auto"
) -> Model:
    """Load a model.

    Parameters
    ----------
    path : Path or str
        A folder with ``model.json``; a published ``.pt``; ``pretrained``, the published joint
        model of 15 flavors; or the id of a published flavor, for the model that holds it: the
        joint one, or one of that flavor alone. Files of published models must be in the cache
        (``kraken-tools fetch model``, ``kraken-tools fetch FLAVOR``).
    transforms : Path or str, or iterable of these
        Transform files of a published ``.pt``; by default those beside it.
    device : str
        ``auto``, ``cpu`` or ``cuda[:N]``.

    Raises
    ------
    CheckpointError
        If it is missing, broken, unsafe, or lacks transforms.
    SettingsError
        If the device does not exist.

    Examples
    --------
    >>> model = kraken_bids.load_model("pretrained")  # doctest: +SKIP
    >>> model = kraken_bids.load_model("SCifod2act_fs86_count")  # doctest: +SKIP
    >>> model = kraken_bids.load_model("demo-data/model")  # doctest: +SKIP
    """
    given, name = _list_paths(transforms), str(path)
    if name == PRETRAINED or (is_published(name) and not Path(path).exists()):
        checkpoint, published = find_published(name)
        model = read_upstream(checkpoint, given or published, device)
    else:
        model = _load_path(Path(path), given, device)
    logger.info(
        "model %s: %d flavors, latent %d, on %s",
        model.name, len(model.flavors), model.latent_size, model.device,
    )  # fmt: skip
    return model


def _load_path(path: Path, transforms: list[Path], device: str) -> Model:
    if path.name == DESCRIPTION_NAME:
        path = path.parent
    if not path.exists():
        raise CheckpointError(
            f"expected a model: a folder with {DESCRIPTION_NAME}, a published .pt file, the "
            f"word {PRETRAINED} or a published flavor; found nothing at {path}. Check the path; "
            "kraken-tools fetch --list shows the published flavors."
            f"{suggest(str(path), [PRETRAINED, *list_published_flavors()])}"
        )
    if path.is_dir():
        inside = sorted(p.name for p in path.glob("*.pt"))
        if inside and not (path / DESCRIPTION_NAME).exists():
            raise CheckpointError(
                f"expected a model folder with {DESCRIPTION_NAME}; found {path} without it, but "
                f"with the checkpoint {inside[0]}. Give the path of that file."
            )
        return read_model(path, device)
    return read_upstream(path, transforms, device)


def _list_paths(given: Path | str | Iterable[Path | str]) -> list[Path]:
    return [Path(one) for one in ([given] if isinstance(given, Path | str) else given)]
