"""The repetition time of a BOLD series: from its JSON, compared with its header."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.exceptions import InputError
from kraken_bids.io.texts import read_json

if TYPE_CHECKING:
    from kraken_bids.io.image_values import ImageHeader

KEY = "RepetitionTime"
TIMES = "VolumeTiming"
"""What BIDS writes instead where volumes do not follow one another without a pause."""
UNITS_PER_SECOND = {"msec": 1e3, "usec": 1e6}
MAX_TR = 100.0
"""Seconds; no BOLD series is that slow, but many are that many milliseconds."""
TOLERANCE = 0.01
"""JSON and header are rounded apart (0.735 and 0.7349999); a hundredth moves no filter."""
SAME_IN_MILLISECONDS = (1.0, 1e3, 1e-3)
"""A header that holds milliseconds under the unit of seconds, or the reverse, says the same."""

logger = logging.getLogger(__name__)


def read_bold_metadata(
    bold: Path, shared: Sequence[Path] | None = None
) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """Sidecar of a BOLD series; where it has no repetition time, with what it inherits.

    Parameters
    ----------
    bold : path
        The series. JSON files of the folders above, up to the root of its dataset, count as BIDS
        has it: same suffix, and no entity that the series has not.
    shared : sequence of path, optional
        JSON files at the root of its dataset, where they are known (they are listed).

    Returns
    -------
    metadata : dict
        Empty where there is no JSON file.
    sidecars : tuple of path
        What it was read from.

    Raises
    ------
    InputError
        If a sidecar is broken.

    Source
    ------
    BIDS 1.10, common principles, the inheritance principle.
    """
    own = sidecar_path(bold)
    # a link to nowhere is read too: the message then says how to get the content
    paths = [own] if own.is_symlink() or own.exists() else []
    metadata = read_json(own) if paths else {}
    for inherited in () if KEY in metadata or TIMES in metadata else _list_inherited(bold, shared):
        metadata = {**read_json(inherited), **metadata}
        paths.append(inherited)
    return metadata, tuple(paths)


def find_repetition_time(path: Path, metadata: Mapping[str, Any], header: "ImageHeader") -> float:
    """Repetition time of a BOLD series, s: of its JSON, else of its header.

    A JSON that says otherwise than the header is believed, and both are named in a warning.

    Parameters
    ----------
    path : path
        The series, for messages.
    metadata : mapping
        Content of its JSON: ``RepetitionTime``, or evenly spaced ``VolumeTiming``.
    header : ImageHeader
        Its fourth voxel size is the repetition time in the header's unit. 0, and 1 without a
        unit, is what headers hold that were never told.

    Raises
    ------
    InputError
        If nothing says it, or it is no number of seconds.
    """
    in_header = _read_header(header)
    said = metadata.get(KEY)
    if said is None and TIMES in metadata:
        said = _interval(metadata[TIMES], path)
    if said is None:
        said = in_header
        _doubt_header(path, header)
    if not is_repetition_time(said):
        raise InputError(
            f"expected the repetition time of {path.name} in seconds, as {KEY} in "
            f"{sidecar_path(path)} or in its header; found {_show(said, header)}. {_suggest(said)}"
        )
    if in_header and not _agree(said, in_header):
        logger.warning(
            "%s: repetition time %g s in its JSON and %g s in its header; that of the JSON is "
            "used. The time from one volume to the next decides filter and minutes: mend the one "
            "that is wrong",
            path, said, in_header,
        )  # fmt: skip
    return float(said)


def is_repetition_time(said: object) -> TypeGuard[float]:
    """Whether what metadata say can be a repetition time in seconds."""
    return isinstance(said, (int, float)) and not isinstance(said, bool) and 0 < said < MAX_TR


def _list_inherited(bold: Path, shared: Sequence[Path] | None) -> Iterator[Path]:
    """Yield JSON files that apply to a series, nearest first."""
    wanted = parse_name(bold) | {"extension": ".json"}
    of_subject = next((p for p in bold.parents if p.name.startswith("sub-")), None)
    root = of_subject.parent if of_subject else bold.parent
    for folder in bold.parents:
        listed = shared if folder == root else None
        paths = folder.glob("*.json") if listed is None else listed
        files = {path: parse_name(path) for path in paths if path != sidecar_path(bold)}
        fitting = [path for path, found in files.items() if found.items() <= wanted.items()]
        yield from sorted(fitting, key=lambda path: (-len(files[path]), path.name))
        if folder == root:
            return


def _read_header(header: "ImageHeader") -> float | None:
    """Seconds, or None where the header was never told."""
    zoom = float(header.zooms[3])
    if not zoom > 0 or not math.isfinite(zoom) or (zoom == 1 and header.time_unit == "unknown"):
        return None
    return zoom / UNITS_PER_SECOND.get(header.time_unit, 1.0)


def _doubt_header(path: Path, header: "ImageHeader") -> None:
    """Warn of a repetition time that is the header's alone and may never have been told."""
    doubt = ""
    if header.time_unit == "unknown":
        doubt = "without a unit, is taken as seconds"
    elif header.zooms[3] == 1:
        doubt = "is also what libraries write that lose the true one"
    if doubt and _read_header(header):
        logger.warning(
            "%s: repetition time %g of its header, %s; no RepetitionTime in %s",
            path,
            header.zooms[3],
            doubt,
            sidecar_path(path).name,
        )


def _interval(times: object, path: Path) -> float:
    """Time from volume to volume where it is always the same.

    Raises
    ------
    InputError
        If it is not.
    """
    import numpy as np  # here: few say times in place of an interval

    is_list = isinstance(times, list) and all(isinstance(time, (int, float)) for time in times)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(np.asarray(times, np.float64)) if is_list else np.empty(0)
        is_even = steps.size and np.ptp(steps) <= TOLERANCE * abs(float(steps.mean()))
    if not is_even:
        raise InputError(
            f"expected the volumes of {path} at even times; found {TIMES} in its JSON with other "
            "ones. Filters need even times: leave the run out with --exclude-runs."
        )
    return float(steps.mean())


def _agree(said: float, in_header: float) -> bool:
    return any(abs(said * unit / in_header - 1) <= TOLERANCE for unit in SAME_IN_MILLISECONDS)


def _show(said: object, header: "ImageHeader") -> str:
    return f"neither ({header.zooms[3]:g} in the header)" if said is None else repr(said)


def _suggest(found: object) -> str:
    if isinstance(found, (int, float)) and MAX_TR <= found < math.inf:
        return "That looks like milliseconds: write seconds."
    return "Add it to the sidecar."
