"""Readers of region series for models: samples of tars."""

import io
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fuzz.arrays import N_REGIONS, rng
from fuzz.cases import Reader, Seed, require


def list_readers() -> list[Reader]:
    """List the readers of region series for models."""
    return [Reader("sample tar", _list_tars, _read_tar)]


def _list_tars() -> Sequence[Seed]:
    random = rng()
    members = {}
    for k in range(3):
        key = f"ds-X_sub-{k:02d}_task-rest_sample_{k:03d}"
        values = random.standard_normal((20 + k, N_REGIONS)).astype(np.float32)
        members[f"{key}.bold.pyd"] = pickle.dumps(values, protocol=4 + k % 2)
        members[f"{key}.t_r.pyd"] = pickle.dumps(np.float32(0.72))
        members[f"{key}.task_label.pyd"] = pickle.dumps(np.int32(k))
        members[f"{key}.task_name"] = b"rest"
    return [
        Seed("a.tar", _pack(members, kind)) for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    ]


def _pack(members: dict[str, bytes], kind: int) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=kind) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def _read_tar(path: Path) -> None:
    from kraken_bids.cohort.series_store import gather_series

    store = gather_series([path], path.parent / "rows", normalization="none")
    for k, run in enumerate(store.runs):
        values = store.values(k)
        require(values.shape == (run.n_volumes, store.data.n_regions), "series of another shape")
        require(np.isfinite(values[store.kept(k)]).all(), "values that are not finite")
        require(0 < run.repetition_time < 100, "no repetition time")
