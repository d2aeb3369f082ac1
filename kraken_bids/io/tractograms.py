"""Tractograms of every format that is read: one interface, chosen by the file's name."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.endpoints import EXTENSION, open_endpoints, read_stored_weights
from kraken_bids.io.tck import open_tck
from kraken_bids.io.track_blocks import TrackBlock, Vertices
from kraken_bids.io.tractogram_formats import FORMATS, OTHER_FORMATS, explain_conversion
from kraken_bids.io.trk import open_trk
from kraken_bids.io.trx import open_trx

BLOCK_BYTES = 1 << 23
"""Of a text of weights at once."""


class Tractogram(Protocol):
    """A track file of any format; its header is read, its tracks are not."""

    @property
    def path(self) -> Path:
        """The file, or the folder of a trx."""

    @property
    def header(self) -> Mapping[str, str]:
        """What the header says, as text."""

    @property
    def n_declared(self) -> int:
        """Number of tracks that the header declares; 0 where it does not say."""

    def ends(self) -> Iterator[Vertices]:
        """First and last vertex of every track [n_tracks, 2, 3] in RAS mm, in file order.

        A track without vertices has NaN ends.

        Raises
        ------
        InputError
            If the file was cut or is damaged.
        """

    def blocks(self) -> Iterator[TrackBlock]:
        """Whole tracks, block by block; raises as :meth:`ends`."""


OPENERS: tuple[Callable[[Path], Tractogram], ...] = (
    open_tck,
    open_tck,
    open_trk,
    open_trk,
    open_trx,
    open_endpoints,
)
READERS = dict(zip(FORMATS, OPENERS, strict=True))
"""What opens a tractogram, by the end of its name."""


def open_tractogram(path: Path) -> Tractogram:
    """Header of a tractogram.

    Parameters
    ----------
    path : path
        ``.tck``, ``.tck.gz`` (MRtrix), ``.trk``, ``.trk.gz`` (TrackVis), ``.trx`` (a zip file, or
        a folder) or ``.npy`` (ends alone).

    Raises
    ------
    InputError
        If it is missing, of another format, or its header is incomplete.
    """
    path = Path(path)
    name = path.name.lower()
    for suffix, open_tracks in READERS.items():
        if name.endswith(suffix):
            return open_tracks(path)
    if name.endswith(OTHER_FORMATS):
        raise InputError(
            f"expected a tractogram in one of the formats {', '.join(FORMATS)}; found {path}. "
            f"{explain_conversion(path)}"
        )
    return open_tck(path)


def read_weights(path: Path) -> NDArray[np.float32]:
    """Streamline weights as ``tcksift2`` writes them: separated by blanks, commas or lines.

    Lines that start with ``#`` are passed over. Of a tractogram (``.trx``), the weights in it; a
    ``.npy`` of one number per streamline is read too.

    Returns
    -------
    ndarray of float32, shape (n_streamlines,)

    Raises
    ------
    InputError
        If it is missing, empty, or holds anything but finite numbers.
    """
    if Path(path).name.lower().endswith(".trx"):
        return _check_weights(open_trx(path).read_weights(), path)
    if Path(path).name.lower().endswith(EXTENSION):
        return _check_weights(read_stored_weights(Path(path)), path)
    try:
        blocks = [_parse_weights(block) for block in _list_blocks(Path(path))]
    except (OSError, ValueError) as error:
        raise InputError(
            "expected streamline weights, numbers separated by blanks, commas or lines, in "
            f"{path}; reading it gave: {error}. Check the file."
        ) from error
    weights = np.concatenate(blocks)
    if not weights.size:
        raise InputError(f"expected streamline weights in {path}; found none. Run tcksift2 again.")
    return _check_weights(weights, path)


def _check_weights(weights: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    bad = np.flatnonzero(~np.isfinite(weights))
    if bad.size:
        raise InputError(
            f"expected finite streamline weights in {path}; found {weights[bad[0]]} for "
            f"streamline {bad[0] + 1}, and {bad.size} such in all. Run tcksift2 again."
        )
    return weights


def _list_blocks(path: Path) -> Iterator[bytes]:
    """Text of a file in blocks cut between numbers, comment lines and commas blanked."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            block = rest + block
            cut = max(block.rfind(b) for b in (b"\n", b" ", b",")) + 1
            # A comment line must not be cut in two.
            start = block.rfind(b"\n", 0, cut) + 1
            cut = start if block[start : start + 1] == b"#" else cut
            block, rest = block[:cut], block[cut:]
            if len(rest) > BLOCK_BYTES:
                raise ValueError(f"a word or a comment of more than {BLOCK_BYTES:,} bytes")
            yield re.sub(rb"(?m)^#.*$", b"", block).replace(b",", b" ")
    yield re.sub(rb"(?m)^#.*$", b"", rest).replace(b",", b" ")


def _parse_weights(text: bytes) -> NDArray[np.float32]:
    if b"_" in text:  # Python would take 1_000 for a number
        raise ValueError("a word with _")
    # not numpy.fromstring, which only warns: to hear it, filters of the whole process would change
    with np.errstate(over="ignore"):
        return np.array(list(map(float, text.split())), np.float32)
