"""Arrays of models come back as they were, however they lay in memory."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.exceptions import CheckpointError, InputError
from kraken_bids.io.tensors import read_arrays, write_arrays


def test_arrays_come_back(tmp_path: Path) -> None:
    """Transposed ones, parts of others, float64 and empty ones too; mapped and float32."""
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {
        "fortran": np.asfortranarray(base),
        "transposed": base.T,
        "part": base[::2, 1::3],
        "double": base.astype(np.float64),
        "flipped": base.astype(">f4"),
        "none": np.empty((0, 3), np.float32),
        "odd": np.ones(1, np.float32),
    }
    write_arrays(tmp_path / "a.safetensors", arrays)
    found = read_arrays(tmp_path / "a.safetensors")
    assert found.keys() == arrays.keys()
    for name, values in arrays.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], values)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """A file that may grow no further is the library's error at first, and then ours."""
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        code = 1
        try:
            write_arrays(tmp_path / "a.safetensors", {"x": np.zeros(5000, np.float32)})
        except InputError as error:
            code = 0 if "a.safetensors" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not list(tmp_path.iterdir())


def test_half_a_file_is_refused(tmp_path: Path) -> None:
    """The header says how much there is."""
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"x": np.zeros(500, np.float32)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        read_arrays(path)
