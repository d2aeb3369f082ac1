"""Tractograms of every format that is read: one interface, chosen by the file's name."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from kraken_bids.exceptions import InputError
from kraken_bids.io.tck import open_tck
from kraken_bids.io.track_blocks import TrackBlock, Vertices
from kraken_bids.io.trk import open_trk
from kraken_bids.io.trx import open_trx

FORMATS = (".tck", ".tck.gz", ".trk", ".trk.gz", ".trx")
OTHER_FORMATS = (".vtk", ".vtp", ".fib", ".dpy", ".tt.gz", ".pdb")
"""Formats of tractograms that are not read."""


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


def open_tractogram(path: Path) -> Tractogram:
    """Header of a tractogram.

    Parameters
    ----------
    path : path
        ``.tck``, ``.tck.gz`` (MRtrix), ``.trk``, ``.trk.gz`` (TrackVis) or ``.trx`` (a zip file,
        or a folder).

    Raises
    ------
    InputError
        If it is missing, of another format, or its header is incomplete.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith((".trk", ".trk.gz")):
        return open_trk(path)
    if name.endswith(".trx"):
        return open_trx(path)
    if name.endswith(OTHER_FORMATS):
        raise InputError(
            f"expected a tractogram in one of the formats {', '.join(FORMATS)}; found {path}. "
            f"{explain_conversion(path)}"
        )
    return open_tck(path)


def explain_conversion(path: Path) -> str:
    """Say how to get a tractogram of another format into one that is read."""
    name = path.name.lower()
    if name.endswith(".vtk"):
        return f"Convert it with MRtrix: tckconvert {path.name} tracks.tck"
    if name.endswith(".tt.gz"):
        return (
            "Convert it with DSI Studio: dsi_studio --action=ana --source=FIB "
            f"--tract={path.name} --output=tracks.trk.gz"
        )
    if name.endswith(".pdb"):
        return "Write it as .tck or .trk with the software that made it."
    return (
        "Convert it with DIPY: save_tractogram(load_tractogram(…), 'tracks.trk') of "
        "dipy.io.streamline reads .dpy, .fib and .vtp."
    )
