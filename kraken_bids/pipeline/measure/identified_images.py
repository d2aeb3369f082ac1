"""Whose regions the labels of an image are, and what is doubtful about them; each image once."""

import logging
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.labels.label_identity import Identity, identify_labels
from kraken_bids.exceptions import InputError
from kraken_bids.io.image_values import list_form_doubts
from kraken_bids.parcellations import Parcellation

logger = logging.getLogger(__name__)

_Key = tuple[Path, int, int, str, tuple[int, ...]]
_identified: dict[_Key, Identity] = {}
"""An atlas in a template is one file for everyone: it is judged, and spoken of, once."""
_noted: dict[_Key, list[str]] = {}
"""What else is doubtful where BOLD is measured."""
_LOCK = Lock()
"""Function and structure of a participant, which have some images in common, are read at once."""


def identify_image(
    path: Path,
    labels: NDArray[np.int32],
    affine: NDArray[np.float64],
    parcellation: Parcellation,
) -> Identity:
    """Find out which label of an image stands for which region; doubts are logged.

    Raises
    ------
    InputError
        If it is another atlas's, or in another numbering; the message names the image.
    """
    key = _make_key(path, parcellation)
    with _LOCK:
        if key not in _identified:
            try:
                _identified[key] = identify_labels(labels, affine, parcellation)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            for doubt in _identified[key].doubts:
                logger.warning("%s: %s", path, doubt)
        return _identified[key]


def note_doubt(path: Path, parcellation: Parcellation, doubt: str) -> None:
    """Add a sentence on an image to those of :func:`list_doubts` on BOLD; it is logged once."""
    with _LOCK:
        noted = _noted.setdefault(_make_key(path, parcellation), [])
        if doubt not in noted:
            noted.append(doubt)
            logger.warning("%s: %s", path, doubt)


def list_doubts(path: Path, parcellation: Parcellation, *, of_bold: bool = False) -> list[str]:
    """Sentences for sidecars and reports on an image that was identified in this process.

    Parameters
    ----------
    of_bold : bool, optional
        Whether those of :func:`note_doubt` belong to it. A tractogram would have them or not by
        what was measured before it.
    """
    key = _make_key(path, parcellation)
    known = _identified.get(key)
    doubts = [*(known.doubts if known else ()), *(_noted.get(key, ()) if of_bold else ())]
    return [*(f"{path.name}: {doubt}" for doubt in doubts), *list_form_doubts(path)]


def _make_key(path: Path, parcellation: Parcellation) -> _Key:
    state = path.stat()
    return path, state.st_mtime_ns, state.st_size, parcellation.name, parcellation.labels
