"""Region series of many runs in one file of rows, parts of which are mapped into memory."""

import mmap
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.alike_series import check_alike
from kraken_bids.cohort.gathered_runs import GatheredRuns, SeriesRun
from kraken_bids.cohort.region_series import stream_region_series
from kraken_bids.cohort.standardised_runs import AS_GIVEN, ZSCORE
from kraken_bids.exceptions import SettingsError
from kraken_bids.io.files import explaining_writes, make_folder
from kraken_bids.models.series.data_description import SeriesData

ITEM = np.dtype(np.float32).itemsize
MOST_MAPPED = 256
"""Parts of the file that are mapped at once: each holds a file open, of which 1 024 may be."""


class SeriesStore:
    """Runs in a file of float32 rows, which vanishes with the process.

    Memory does not grow with the runs: the pages of a run are let go with the arrays that
    :meth:`values` gives. Where there are many runs, a few are mapped and let go together.

    Parameters
    ----------
    path : Path
        Rows of all runs, one after the other; held open as long as the store lives.
    kept : sequence of ndarray
        Per run, whether each volume counts.
    data : SeriesData
        What is known of all of them.
    """

    def __init__(
        self,
        path: Path,
        runs: Sequence[SeriesRun],
        kept: Sequence[NDArray[np.bool_]],
        data: SeriesData,
    ) -> None:
        self._file, self._kept, self.data = os.open(path, os.O_RDONLY), tuple(kept), data
        weakref.finalize(self, os.close, self._file)
        self.runs = tuple(runs)
        self._mapped: weakref.WeakValueDictionary[int, NDArray[np.float32]] = (
            weakref.WeakValueDictionary()
        )

    def values(self, run: int) -> NDArray[np.float32]:
        """Give the series of a run [n_volumes, n_regions], to be read only.

        Volumes that do not count, or were cut out, hold the mean of each region over those that
        count.
        """
        n_parts = min(MOST_MAPPED, len(self.runs))
        part = run * n_parts // len(self.runs)
        first, last = (-(-k * len(self.runs) // n_parts) for k in (part, part + 1))
        values = self._mapped.get(part)
        if values is None:
            values = self._mapped[part] = self._map(self.runs[first], self.runs[last - 1])
        own, start = self.runs[run], self.runs[first].start
        width = self.data.n_regions
        flat = values[(own.start - start) * width :][: own.n_volumes * width]
        return flat.reshape(own.n_volumes, width)

    def _map(self, first: SeriesRun, last: SeriesRun) -> NDArray[np.float32]:
        """Map the values of consecutive runs, in one row."""
        start = first.start * self.data.n_regions * ITEM
        n_values = (last.start + last.n_volumes - first.start) * self.data.n_regions
        before = start % mmap.ALLOCATIONGRANULARITY
        pages = mmap.mmap(
            self._file,
            n_values * ITEM + before,
            access=mmap.ACCESS_READ,
            offset=start - before,
        )
        return np.frombuffer(pages, np.float32, n_values, before)

    def kept(self, run: int) -> NDArray[np.bool_]:
        """Say which volumes of a run count [n_volumes]."""
        return self._kept[run]


def gather_series(  # noqa: PLR0913 - what files may leave unsaid
    words: Sequence[str | Path],
    folder: Path,
    *,
    atlas: str = "",
    variable: str = "",
    regions: str = "",
    repetition_time: float | None = None,
    normalization: str = "",
    shortest: int = 2,
    like: SeriesData | None = None,
    learns_times: bool = False,
) -> SeriesStore:
    """Read the region series of many runs into one file, one run at a time.

    Runs in which fewer volumes count than ``shortest``, or a region has no values, are named in a
    warning and left out.

    Parameters
    ----------
    words : sequence of str or Path
        As of :func:`~kraken_bids.cohort.region_series.stream_region_series`.
    folder : Path
        On a disk with room for all series in float32; made if need be.
    atlas : str
        Whose series of folders; of files, the name of the atlas where their names say none.
    variable, regions : str
        As of ``stream_region_series``.
    repetition_time : float, optional
        In seconds, of files that do not say it.
    normalization : str
        ``zscore`` or ``none``; '': that of ``like``, else ``zscore``.
    shortest : int
        Volumes that must count in a run.
    like : SeriesData, optional
        Series of a model: regions are put into its order by their names, and
        :func:`~kraken_bids.cohort.alike_series.check_alike` holds.
    learns_times : bool
        Whether the model is trained further, so that other repetition times are a warning.

    Raises
    ------
    InputError
        If a file cannot be read or nothing says its repetition time, or runs have one name.
    ConnectomeError
        If runs have different regions, none is left, or the model is of other series.
    """
    wanted = normalization or (like.normalization if like else ZSCORE)
    if wanted not in {ZSCORE, AS_GIVEN}:
        raise SettingsError(f"expected normalization {ZSCORE} or {AS_GIVEN}; found {wanted!r}.")
    make_folder(folder)
    with explaining_writes(folder / "rows of region series"):
        rows = NamedTemporaryFile(  # noqa: SIM115 - closed below
            dir=folder, prefix=".series-", suffix=".f32", delete=False
        )
    with rows as file:
        path = Path(file.name)
        try:
            gathered = GatheredRuns(file, wanted, repetition_time, shortest, atlas, like)
            for scan in stream_region_series(
                words, atlas=atlas, variable=variable, regions=regions
            ):
                gathered.add(scan)
            with explaining_writes(path):
                file.flush()
            store = SeriesStore(path, gathered.runs, gathered.kept, gathered.describe())
        finally:
            path.unlink()  # what nobody has open any more is gone
    if like is not None:
        check_alike(store.data, like, learns_times=learns_times)
    return store
