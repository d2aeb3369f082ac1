"""Preprocessed BOLD series: which are used, and their volumes, one at a time."""

import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.index import JOINED, SubjectFile
from kraken_bids.bids.label_images import IMAGES
from kraken_bids.bids.names import full_space, rank_version
from kraken_bids.bids.outputs import FUNC_ENTITIES
from kraken_bids.bids.repetition_time import KEY, find_repetition_time, read_bold_metadata
from kraken_bids.exceptions import InputError
from kraken_bids.io.bounds import check_growth
from kraken_bids.io.byte_streams import damage_errors, fill, open_stream, read_to_end
from kraken_bids.io.files import explain_absence
from kraken_bids.io.image_values import ImageHeader, compare_forms
from kraken_bids.io.images import read_header

logger = logging.getLogger(__name__)

BoldBySpace = Mapping[str, Sequence[SubjectFile]]


def is_preprocessed_bold(file: SubjectFile, desc: str = "preproc") -> bool:
    """Whether a file is a preprocessed BOLD volume series in a named space, echoes combined."""
    return (
        file.is_called(suffix="bold", desc=desc, echo=None, datatype="func")
        and file.entities["extension"] in IMAGES
        and "space" in file.entities
    )


def choose_series(
    series: Sequence[SubjectFile],
) -> tuple[dict[Dataset, dict[str, list[SubjectFile]]], list[str]]:
    """One image per run and space: of the first dataset, res-2 before other resolutions.

    Runs of one kind come from one dataset, since two may have been prepared differently and lie
    in other T1w spaces.

    Parameters
    ----------
    series : sequence of SubjectFile
        Preprocessed BOLD series of one session, datasets in their order.

    Returns
    -------
    chosen : dict
        Per dataset, per space (cohort included), the series.
    notes : list of str
        What was left aside, and what is not joined.

    Raises
    ------
    InputError
        If two kinds of scan would bear one name in the outputs.
    """
    notes: list[str] = []
    kept = _keep_one_dataset(series, notes)
    runs: dict[tuple[str, frozenset[tuple[str, str]]], list[SubjectFile]] = defaultdict(list)
    for file in kept:
        runs[full_space(file.entities), file.run_key].append(file)
    chosen: dict[Dataset, dict[str, list[SubjectFile]]] = {}
    for (space, _), choices in runs.items():
        best = min(choices, key=_rank_resolution)
        chosen.setdefault(best.dataset, {}).setdefault(space, []).append(best)
        if len(choices) > 1:
            notes.append(_say_chosen(best, len(choices)))
    _check_names(kept)
    return chosen, [*notes, *_note_versions(kept)]


def _keep_one_dataset(series: Sequence[SubjectFile], notes: list[str]) -> list[SubjectFile]:
    """Series of the first dataset that has any of their kind in their space."""
    first: dict[tuple[str, frozenset[tuple[str, str]]], SubjectFile] = {}
    left: dict[tuple[Dataset, Dataset], list[SubjectFile]] = defaultdict(list)
    kept = []
    for file in series:
        own = first.setdefault((full_space(file.entities), file.version_key), file)
        if file.dataset == own.dataset:
            kept.append(file)
        else:
            left[own.dataset, file.dataset].append(file)
    notes += [
        f"{len(files)} BOLD series of {other.path} are left aside, since those of {used.path} are "
        f"used ({files[0].path.name}, for one). Name the dataset with -d NAME=PATH to have it "
        "first."
        for (used, other), files in left.items()
    ]
    return kept


def _check_names(series: Sequence[SubjectFile]) -> None:
    """Refuse kinds of scan that differ in nothing that the names of outputs can say."""
    seen: dict[tuple[str, frozenset[tuple[str, str]]], SubjectFile] = {}
    for file in series:
        named = frozenset((k, v) for k, v in file.version_key if k in FUNC_ENTITIES)
        other = seen.setdefault((full_space(file.entities), named), file)
        if other.version_key != file.version_key:
            raise InputError(
                f"expected BOLD series that differ in what BIDS names of outputs can say "
                f"({', '.join(FUNC_ENTITIES)}); found {other.path} and {file.path}. Choose one "
                "with --bids-filter-file."
            )


def _note_versions(series: Sequence[SubjectFile]) -> list[str]:
    """Say which scans of one task are not joined."""
    versions: dict[str, dict[str, None]] = defaultdict(dict)
    for file in sorted(series, key=lambda f: rank_version(f.entities)):
        task = file.entities.get("task", "")
        versions[task].setdefault(_name_version(file))
    return [
        f"task {task or '(none)'} lies there as {' and as '.join(found)}: these are not joined "
        "but measured apart. The model reads the first of rec-, ce- and part-, and the one with "
        "the most data of others. Choose with --bids-filter-file."
        for task, found in versions.items()
        if len(found) > 1
    ]


def _name_version(file: SubjectFile) -> str:
    left_out = ("sub", "ses", "task", *JOINED)
    words = [f"{k}-{v}" for k, v in file.entities.items() if (k, v) in file.version_key]
    named = [word for word in words if word.partition("-")[0] not in left_out]
    return "_".join(named) or "it came (neither acq- nor rec- nor ce-)"


@dataclass(frozen=True)
class Bold:
    """A BOLD series on disk; its header is read, its volumes are not."""

    path: Path
    shape: tuple[int, int, int, int]
    """x, y, z, n_volumes."""
    affine: NDArray[np.float64]
    """Voxel → RAS mm, [4, 4]."""
    tr: float
    """Repetition time, s."""
    slope: float
    inter: float
    """What a stored value v means: ``slope * v + inter``."""
    dtype: np.dtype[np.number[Any]]
    """As stored, byte order included."""
    offset: int
    """Where the first volume begins, bytes (uncompressed)."""
    is_placed: bool = True
    """Whether its header says where it lies; if not, the affine is a guess."""

    def volumes(self) -> Iterator[NDArray[np.number[Any]]]:
        """Volumes in order, each once: [n_voxels], x fastest (Fortran order), as stored.

        Values are unscaled, in the stored type and this machine's byte order. All volumes share
        one array: whoever wants to keep one copies it.

        Raises
        ------
        InputError
            If the file ends too early or its compression is damaged.
        """
        n_whole = 0
        try:
            with open_stream(self.path) as stream:
                stream.seek(self.offset)
                # one for all: the pages of a new one cost as much as summing it up
                volume = np.empty(self.n_voxels, self.dtype)
                for _ in range(self.shape[3]):
                    fill(stream, volume)
                    n_whole += 1
                    yield _to_native(volume)
                read_to_end(stream, self.path)
        except damage_errors() as error:
            raise InputError(
                f"expected {self.shape[3]} volumes in {self.path}; found {n_whole} whole ones and "
                f"then: {error}. The file is cut or damaged: copy it again, or rerun fMRIPrep."
            ) from error

    @property
    def n_voxels(self) -> int:
        """Voxels of one volume."""
        return self.shape[0] * self.shape[1] * self.shape[2]


def open_bold(path: Path, *, tr: float | None) -> Bold:
    """Header of a BOLD series.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``, 4D; further axes of length 1 are dropped.
    tr : float or None
        Repetition time in seconds, as its metadata have it; None: RepetitionTime of the JSON
        sidecar or one that it inherits, else the header.

    Raises
    ------
    InputError
        If it is missing, no 4D NIfTI, of an odd data type, without a place in space, or its
        repetition time is unknown or in milliseconds.
    """
    path = Path(path)
    header = _read_header(path)
    shape = _find_shape(path, header)
    compare_forms(path, header.affine, header.qform, header.shape)
    if not header.is_placed:
        logger.warning(
            "%s: its header has neither qform nor sform; the middle of the image is taken as the "
            "origin, left and right as nibabel takes them, and regions may lie elsewhere",
            path,
        )
    metadata = read_bold_metadata(path)[0] if tr is None else {KEY: tr}
    return Bold(
        path=path,
        shape=shape,
        affine=header.affine,
        tr=find_repetition_time(path, metadata, header),
        slope=header.slope,
        inter=header.inter,
        dtype=header.dtype,
        offset=header.offset,
        is_placed=header.is_placed,
    )


def _read_header(path: Path) -> ImageHeader:
    try:
        if not path.name.lower().endswith((".nii", ".nii.gz")):
            raise ValueError("a name of another format. Give volumes (.nii.gz)")
        with open_stream(path) as stream:
            header = read_header(stream, path)
        n_declared = header.offset + math.prod(header.shape) * header.dtype.itemsize
        check_growth(n_declared, path.stat().st_size, "a series")
    except damage_errors() as error:
        raise InputError(
            f"expected a NIfTI series at {path}; reading its header gave: {error}. "
            f"{explain_absence(path) or 'Check the path, or copy the file again.'}"
        ) from error
    return header


def _to_native(volume: NDArray[np.number[Any]]) -> NDArray[np.number[Any]]:
    if volume.dtype.isnative:
        return volume
    return volume.byteswap(inplace=True).view(volume.dtype.newbyteorder("="))


def _say_chosen(best: SubjectFile, n_choices: int) -> str:
    return (
        f"{n_choices} BOLD series fit {best.path.name}; the one of {best.dataset.path} is used. "
        "Choose another with --bids-filter-file."
    )


def _rank_resolution(file: SubjectFile) -> tuple[bool, str]:
    return file.entities.get("res", "") not in {"2", "02"}, file.path.name


def _find_shape(path: Path, header: ImageHeader) -> tuple[int, int, int, int]:
    """Give the four axes of a BOLD series, without further ones of length 1."""
    shape = header.shape[:4] if set(header.shape[4:]) <= {1} else header.shape
    if len(shape) != 4 or header.dtype.kind not in "iuf":
        raise InputError(
            f"expected a BOLD series with four axes of real numbers in {path}; found shape "
            f"{header.shape} of {header.dtype}. Check that this is the preprocessed series."
        )
    return shape
