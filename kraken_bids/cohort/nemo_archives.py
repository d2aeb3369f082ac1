"""Connectomes of NeMo, in its zip or folder: names are read as the reference reads them."""

import logging
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.declared_flavors import parse_nemo_name
from kraken_bids.cohort.flavor_blocks import Part, to_table_part
from kraken_bids.cohort.row_names import find_label, find_subjects
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.bounds import check_archive
from kraken_bids.io.named_arrays import open_arrays
from kraken_bids.io.stored_rows import BROKEN, load_rows
from kraken_bids.io.tables import parse_columns
from kraken_bids.io.texts import parse_json

SIGN = "_nemo_output_"
REFERENCE = "nemorefsubj"
MATRIX = "SC"

logger = logging.getLogger(__name__)


def open_nemo(path: Path) -> Iterator[tuple[Flavor, Part]]:
    """Connectomes after lesions (``nemoSC … _mean.mat``) of a folder or zip of NeMo.

    Standard deviations, ChaCo ratios and pictures are passed over.

    Parameters
    ----------
    path : Path
        Where it holds nothing of NeMo, nothing is found. A ``participants.tsv`` in it may name
        the subject of each lesion mask (columns ``participant_id`` and ``subject``).

    Raises
    ------
    InputError
        If the zip is broken, or NeMo wrote ratios into it and no connectomes.
    """
    listed = _list_names(path)
    names = [name for name in listed if SIGN in PurePosixPath(name).name]
    if not names:
        return
    is_sift2 = _is_weighted(path, names)
    people = _read_subjects(path, listed)
    found = {
        name: parsed
        for name in names
        if (parsed := parse_nemo_name(PurePosixPath(name).name, is_sift2=is_sift2))
    }
    if not found:
        raise InputError(
            f"expected connectomes …_nemoSC…_mean.mat in {path}; found {len(names)} other files "
            "of NeMo. It writes them for atlases with pairwise disconnectivity and the output of "
            "each reference subject."
        )
    for name, (flavor, owner) in found.items():
        subject = people.get(owner.removeprefix("sub-")) or name_owner(owner)
        yield flavor, to_table_part(flavor, partial(_read, path, name), f"{path}, {name}", subject)
    if any(owner == REFERENCE for _, owner in found.values()):
        logger.warning(
            "%s: %s, the mean of NeMo's reference subjects without a lesion, counts as a subject, "
            "as in the reference release; take its files out if it should not", path, REFERENCE,
        )  # fmt: skip


def name_owner(owner: str) -> str:
    """Label of a subject from the name of a lesion mask: ``01_ses-1``, or its letters and digits.

    Examples
    --------
    >>> name_owner("sub-01_ses-1_label-lesion_mask"), name_owner("my lesion_7")
    ('01_ses-1', 'mylesion7')
    """
    return find_label(Path("/", owner)) or re.sub(r"[^A-Za-z0-9]", "", owner)


def _list_names(path: Path) -> list[str]:
    if path.is_dir():
        wanted = (f"*{SIGN}*", "participants.tsv")
        found = {one for pattern in wanted for one in path.rglob(pattern) if one.is_file()}
        return sorted(str(one.relative_to(path)) for one in found)
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path.stat().st_size)
            return sorted(archive.namelist())
    except BROKEN as error:
        raise InputError(
            f"expected a zip archive in {path}; found: {error}. Copy it again."
        ) from error


def _read_member(path: Path, name: str) -> bytes:
    if path.is_dir():
        return (path / name).read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except BROKEN as error:
        raise InputError(
            f"expected {name} whole in {path}; found: {error}. Download it again."
        ) from error


def _read(path: Path, name: str) -> tuple[None, NDArray[np.floating]]:
    """Matrix of a member; its regions have no names, and are in the model's order."""
    if path.is_dir():
        return None, _find_matrix(path / name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, PurePosixPath(name).name)
        copy.write_bytes(_read_member(path, name))
        return None, _find_matrix(copy)


def _find_matrix(path: Path) -> NDArray[np.floating]:
    arrays = open_arrays(path)
    if MATRIX not in arrays:
        raise InputError(
            f"expected NeMo's array {MATRIX} in {path}; found {', '.join(arrays) or 'none'}. "
            "Download it again."
        )
    return np.asarray(load_rows(arrays[MATRIX]))


def _is_weighted(path: Path, names: Sequence[str]) -> bool:
    """Whether NeMo's settings say that streamlines were weighted: older names do not say it."""
    for name in names:
        if name.endswith("_config.json"):
            try:
                settings = parse_json(_read_member(path, name))
            except ValueError as error:
                raise InputError(
                    f"expected NeMo's settings in {path}, {name}; found: {error}. Copy it again."
                ) from error
            value = settings.get("siftweights") if isinstance(settings, dict) else None
            return str(value).lower() == "true"  # a word, or JSON's own
    return False


def _read_subjects(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Participant of each lesion mask, where the archive says it."""
    for name in names:
        if PurePosixPath(name).name == "participants.tsv":
            columns = parse_columns(_read_member(path, name), f"{path}, {name}")
            if {"participant_id", "subject"} <= set(columns):
                pair = (columns["subject"], columns["participant_id"])
                owners, labels = (find_subjects({"subjects": one}) or () for one in pair)
                return dict(zip(owners, labels, strict=True))
    return {}
