"""One door for every model: a folder of ours, a published checkpoint, or ``pretrained``."""

import logging
from collections.abc import Iterable
from pathlib import Path

from kraken_bids.exceptions import CheckpointError
from kraken_bids.model.checkpoint import DESCRIPTION_NAME, read_model
from kraken_bids.model.predict import Model
from kraken_bids.model.published import PRETRAINED, find_published
from kraken_bids.model.upstream import read_upstream

logger = logging.getLogger(__name__)


def load_model(
    path: Path | str, *, transforms: Iterable[Path | str] = (), device: str = "auto"
) -> Model:
    """Load a model.

    Parameters
    ----------
    path : Path or str
        A folder with ``model.json``; a published ``.pt``; or ``pretrained``, the published joint
        model of 15 flavors, whose files must be in the cache.
    transforms : iterable of Path or str
        Transform files of a published ``.pt``; by default those beside it.
    device : str
        ``auto``, ``cpu`` or ``cuda[:N]``.

    Raises
    ------
    CheckpointError
        If it is missing, broken, unsafe, or lacks transforms.
    SettingsError
        If the device does not exist.
    """
    given = [Path(one) for one in transforms]
    if str(path) == PRETRAINED:
        checkpoint, published = find_published(PRETRAINED)
        model = read_upstream(checkpoint, given or published, device)
    else:
        model = _load_path(Path(path), given, device)
    logger.info(
        "model %s: %d flavors, latent %d, on %s",
        model.name,
        len(model.flavors),
        model.latent_size,
        model.device,
    )
    return model


def _load_path(path: Path, transforms: list[Path], device: str) -> Model:
    if path.name == DESCRIPTION_NAME:
        path = path.parent
    if not path.exists():
        raise CheckpointError(
            f"expected a model: a folder with {DESCRIPTION_NAME}, a published .pt file, or the "
            f"word {PRETRAINED}; found nothing at {path}. Check the path."
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
