"""Connectome files of a cohort, in every layout that ``kraken-tools predict`` takes."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from kraken_bids.cohort.declared_flavors import check_declared, parse_nemo_name
from kraken_bids.cohort.flavor_blocks import Part, known_regions, to_part
from kraken_bids.cohort.joined_rows import Connectomes, Input, join_inputs
from kraken_bids.cohort.micapipe_matrices import name_micapipe_rows
from kraken_bids.cohort.named_regions import find_regions, spread_structures
from kraken_bids.cohort.nemo_archives import name_owner, open_nemo
from kraken_bids.cohort.prediction_archives import NESTED, find_only_prediction
from kraken_bids.cohort.projections import Cohort
from kraken_bids.cohort.qsirecon_matrices import choose_measure, find_measures, name_labels
from kraken_bids.cohort.row_axes import put_subjects_first
from kraken_bids.cohort.row_names import find_presence, find_subjects, list_columns_beside
from kraken_bids.cohort.subject_names import count_labels
from kraken_bids.cohort.table_folders import find_owner, open_tables, parse_bids_name
from kraken_bids.exceptions import ConnectomeError, FlavorError, InputError
from kraken_bids.flavors import Flavor, parse_flavor, recognize_flavor
from kraken_bids.io.hdf5_rows import Hdf5Rows
from kraken_bids.io.named_arrays import open_arrays
from kraken_bids.io.stored_rows import Rows, load_rows
from kraken_bids.io.tables import TABLE_SUFFIXES
from kraken_bids.io.text_matrices import read_named_matrix
from kraken_bids.scores.doubt_words import describe_doubts, name_rows
from kraken_bids.scores.plausibility import InputCheck

logger = logging.getLogger(__name__)

MATRIX_KEYS = ("data", "FC", "SC", "C", "connectome", "volnorm")
"""What published ``.mat`` files call their one array."""


def read_connectomes(inputs: str | Path | Sequence[str | Path]) -> Connectomes:
    """Read and join connectome files.

    Parameters
    ----------
    inputs : str or Path, or sequence of these
        Each one ``FLAVOR=FILE``; or a file whose keys are flavors (``.npz``, ``.mat`` v5,
        ``.h5``); or a folder or ``.zip`` of BIDS-named matrices
        ``sub-X[_ses-Y]_…_atlas-A_meas-M_relmat.dense.tsv``, such as a folder that kraken-bids
        wrote, or of NeMo's connectomes. Stars in FILE stand for many files. Arrays are
        [n_subjects, n_regions, n_regions] or [n_subjects, n_edges]; a text file holds one
        subject's square matrix, or one row of edges per subject. ``subjects`` (or
        ``participant_id``, ``ID`` …) beside them names the rows; a file of one subject may have
        ``sub-LABEL`` in its name or folder instead. Where a file names its regions, they are put
        into the model's order.

    Returns
    -------
    Connectomes
        Over the union of subjects. Where no file names its subjects, rows are joined by their
        place, and must be as many.

    Raises
    ------
    InputError
        If a file is missing or cannot be read, only some name their subjects, or two have nobody
        in common.
    FlavorError
        If no flavor is given or found.
    ConnectomeError
        If an array has not the shape of its parcellation, is not symmetric, or is NaN in part.

    Examples
    --------
    >>> cohort = kraken_bids.read_connectomes("demo-data/derivatives")  # doctest: +SKIP
    >>> {flavor.name: edges.shape for flavor, edges in cohort.edges.items()}  # doctest: +SKIP
    """
    cohort = open_connectomes([inputs] if isinstance(inputs, str | Path) else inputs)
    n_subjects = len(cohort.subjects)
    edges = {flavor: rows.read(0, n_subjects) for flavor, rows in cohort.rows.items()}
    _warn_of_mirrored(cohort)
    return Connectomes(cohort.subjects, edges)


def _warn_of_mirrored(cohort: Cohort) -> None:
    checks = [InputCheck(f, None, mirrored=r.list_mirrored()) for f, r in cohort.rows.items()]
    doubts = [doubt for check in checks for doubt in check.list_doubts({})]
    for text in describe_doubts(doubts, name_rows(cohort.subjects)):
        logger.warning(text)


def open_connectomes(inputs: Sequence[str | Path]) -> Cohort:
    """Find and join connectome files, whose numbers are read, and checked, when asked for.

    Parameters
    ----------
    inputs : sequence of str or Path
        As :func:`read_connectomes` takes them. Text files given with ``FLAVOR=`` come into memory
        all the same.

    Raises
    ------
    InputError, FlavorError, ConnectomeError
        As of :func:`read_connectomes`; what concerns numbers, on reading.
    """
    found = [
        Input(number, flavor, part)
        for number, text in enumerate(inputs)
        for flavor, part in _read_input(str(text))
    ]
    if not found:
        raise FlavorError(
            "expected connectomes of at least one flavor; found none in "
            f"{', '.join(str(text) for text in inputs) or 'no input'}. "
            "Give --input FLAVOR=FILE, or a folder of measured *_relmat.dense.tsv (predictions, "
            "desc-…kraken, are no inputs)."
        )
    subjects, rows = join_inputs(found)
    logger.info("%s, flavors %s", count_labels(subjects), ", ".join(f.name for f in rows))
    return Cohort(subjects, rows)


def _read_input(text: str) -> Iterator[tuple[Flavor, Part]]:
    name, equals, rest = text.partition("=")
    if equals and not Path(text).exists():
        given = parse_input_name(name)
        yield from (_read_flavor_file(given, path) for path in _list_files(rest))
        return
    path = Path(text)
    _check_exists(path)
    if path.is_dir() or path.suffix == ".zip":
        yield from open_nemo(path)
        yield from open_tables(path)
        return
    nemo = parse_nemo_name(path.name)
    if nemo is not None:
        yield _read_flavor_file(nemo[0], path)
        return
    if path.suffix in TABLE_SUFFIXES:
        flavor = (parse_bids_name(path.name) or (None,))[0] or recognize_flavor(path.stem)
        if flavor is None:
            raise FlavorError(
                "expected FLAVOR=FILE for a file whose name does not say its flavor; found "
                f"{path}."
            )
        yield _read_text_file(flavor, path)
        return
    yield from _read_keyed_file(path)


def _list_files(text: str) -> list[Path]:
    """File of a path, or all files that a path with stars stands for."""
    path = Path(text)
    if "*" not in text or path.exists():
        return [path]
    found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not found:
        raise InputError(f"expected files {text}; found none. Check the path.")
    return found


def parse_input_name(name: str) -> Flavor:
    """Flavor of an input, as here or as the published commands spell it: ``[FLAVOR]@GROUP``.

    Raises
    ------
    FlavorError
        If it is no flavor, or of the other group.
    """
    spelled, at, group = name.partition("@")
    flavor = parse_flavor(spelled.removeprefix("[").removesuffix("]"))
    if at and group != flavor.group:
        raise FlavorError(
            f"expected {flavor}=FILE, or {flavor}@{flavor.group}=FILE; found {name}. The flavor "
            "itself says its group."
        )
    return flavor


def _read_flavor_file(flavor: Flavor, path: Path) -> tuple[Flavor, Part]:
    """File of one flavor: one array, or the array of that key."""
    _check_exists(path)
    if path.is_dir():
        raise InputError(
            f"expected a file of {flavor}; found the folder {path}. Give FLAVOR=FILE, or the "
            "folder alone."
        )
    if path.suffix in TABLE_SUFFIXES:
        check_declared(flavor, path)
        return _read_text_file(flavor, path)
    arrays = open_arrays(path)
    arrays = arrays if NESTED in arrays else spread_structures(arrays)
    measures = find_measures(arrays)
    keys = [key for key in arrays if recognize_flavor(key.rpartition(".")[2]) == flavor]
    keys = keys or ([choose_measure(flavor, measures, path)] if measures else [])
    keys = keys or [key for key in MATRIX_KEYS if key in arrays]
    if not keys and NESTED in arrays:
        return flavor, _name_part(flavor, find_only_prediction(arrays, flavor, path), arrays, path)
    several = [
        key for key, array in arrays.items() if len(array.shape) >= 2 and array.dtype.kind in "fiu"
    ]
    # coordinates of the regions, say, are no connectomes
    keys = keys or [key for key in several if _may_be_square(arrays[key].shape)] or several
    if len(keys) != 1:
        raise InputError(
            f"expected one array for {flavor} in {path}; found {', '.join(arrays) or 'none'}. "
            f"Name it {flavor}, or keep only it (and subjects) in the file."
        )
    check_declared(flavor, path, keys[0])
    return flavor, _name_part(flavor, (keys[0], arrays[keys[0]]), arrays, path)


def _may_be_square(shape: Sequence[int]) -> bool:
    return any(a == b for a, b in pairwise((*shape, *shape[:1])))


def _read_text_file(flavor: Flavor, path: Path) -> tuple[Flavor, Part]:
    """One subject's matrix, named by the path; or edges of several, without names."""
    regions, values = read_named_matrix(path)
    return flavor, _name_part(flavor, ("", values), {}, path, regions=regions)


def _name_part(
    flavor: Flavor,
    named: tuple[str, Rows],
    arrays: Mapping[str, Rows],
    path: Path,
    *,
    regions: Sequence[str] | None = None,
) -> Part:
    """Array of a flavor with the names beside it, or of one subject with the label in the path."""
    key, array = named
    where = f"{path}, {key}" if key else str(path)
    arrays = _name_as_in_group(arrays, array)
    try:
        regions = regions or name_micapipe_rows(path) or _find_regions(arrays, key, flavor)
    except ConnectomeError as error:
        raise ConnectomeError(f"{where}: {error}") from error
    array = put_subjects_first(array, len(regions) if regions else known_regions(flavor), where)
    subjects = find_subjects(arrays)
    presence = find_presence(arrays, str(path))
    if array.shape:  # a struct has none
        subjects, array = presence.choose_names(subjects), presence.choose_rows(array)
        label = _find_label(path) if subjects is None and array.shape[0] == 1 else None
        subjects = subjects if label is None else (label,)
    part = to_part(flavor, array, where, subjects, regions=regions)
    beside = {} if subjects else list_columns_beside(arrays, array.shape[0])
    return replace(part, beside=beside)


def _name_as_in_group(arrays: Mapping[str, Rows], array: Rows) -> Mapping[str, Rows]:
    """Arrays of a file, those in the HDF5 group of one as it calls them: ``GROUP/regions``."""
    group = array.name.rpartition("/")[0] if isinstance(array, Hdf5Rows) else ""
    own = {k.removeprefix(f"{group}/"): v for k, v in arrays.items() if k.startswith(f"{group}/")}
    return {**arrays, **own} if group else arrays


def _find_label(path: Path) -> str | None:
    nemo = parse_nemo_name(path.name)
    return name_owner(nemo[1]) if nemo else find_owner(path)


def _find_regions(arrays: Mapping[str, Rows], key: str, flavor: Flavor) -> tuple[str, ...] | None:
    """Names of the regions of an array, where its file has them."""
    labels = name_labels(key)
    if labels in arrays:
        return tuple(str(one).strip() for one in np.ravel(load_rows(arrays[labels])))
    return find_regions(arrays, key, flavor) if key in arrays else None


def _read_keyed_file(path: Path) -> Iterator[tuple[Flavor, Part]]:
    """File whose keys are flavors; keys that are none are passed over."""
    if path.suffix == ".npy":
        raise FlavorError(
            f"expected FLAVOR=FILE for a .npy file, which names no flavor; found {path}."
        )
    arrays = open_arrays(path)
    found = {key: flavor for key in arrays if (flavor := recognize_flavor(key)) is not None}
    if not found:
        raise FlavorError(
            f"expected arrays named by their flavor in {path}; found "
            f"{', '.join(arrays) or 'none'}. Give FLAVOR=FILE."
        )
    for key, flavor in found.items():
        yield flavor, _name_part(flavor, (key, arrays[key]), arrays, path)


def _check_exists(path: Path) -> None:
    # a pipe or a device exists too, and reading it may never end
    if not path.is_file() and not path.is_dir():
        raise InputError(
            f"expected connectomes (a file, a folder or a .zip, or FLAVOR=FILE); found no {path}. "
            "Check the path."
        )
