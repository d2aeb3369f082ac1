"""Reading pickles safely: arrays come back as they were, anything else is refused and not run."""

import io
import os
import pickle
import subprocess
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kraken_bids.exceptions import CheckpointError
from kraken_bids.io.pickles import read_object_array, read_torch_file

CONTENT = {
    "tensor": torch.arange(12.0).reshape(3, 4).T,
    "view": torch.arange(12.0)[3:7],
    "half": torch.ones(2, dtype=torch.float16),
    "long": torch.tensor([1, -2]),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "scalar": np.float64(0.5),
    "integers": np.arange(3),
    "swapped": np.arange(3, dtype=">i4"),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "names": np.array(["a", "bcd"]),
    "objects": np.array(["a", None, 3], dtype=object),
    "nested": OrderedDict(a=[1, (2.0, None, True)], b={"s": "ü"}),
}


OTHERS = {
    "halves": (torch.arange(-6.0, 6.0).reshape(3, 4) / 7).bfloat16(),
    "turned": torch.arange(12.0).bfloat16().reshape(3, 4).T[1:],
    "half parameter": torch.nn.Parameter(torch.ones(2).bfloat16()),
    "strided": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
}
NAMES = {
    "gpu": (torch.device("cuda", 1), "cuda:1"),
    "cpu": (torch.device("cpu"), "cpu"),
    "dtype": (torch.bfloat16, "torch.bfloat16"),
    "scalar_type": (np.float32, "float32"),
    "raw": (bytearray(b"abc"), b"abc"),
}
"""What is of no more use than its name, and that name."""


class Malicious:
    """Runs a command when a careless reader unpickles it."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def list_attacks(marker: Path) -> dict[str, Any]:
    command = f"touch {marker}"
    return {
        "os.system": Malicious(os.system, command),
        "subprocess": Malicious(subprocess.Popen, ["touch", str(marker)]),
        "eval": Malicious(eval, f"open({str(marker)!r}, 'w')"),
        "getattr": Malicious(getattr, Malicious(__import__, "os"), "system"),
        "torch.load": Malicious(torch.load, str(marker)),
        "numpy.load": Malicious(np.load, str(marker)),
        "open": Malicious(open, str(marker), "w"),
    }


def assert_equal(actual: Any, expected: Any) -> None:
    assert list(actual) == list(expected)
    for key, value in expected.items():
        if isinstance(value, torch.Tensor):
            np.testing.assert_array_equal(actual[key], value.detach().numpy())
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(np.asarray(actual[key]), value)
            assert actual[key].dtype == value.dtype.newbyteorder("=")
        else:
            assert actual[key] == value


@pytest.mark.parametrize("is_zip", [True, False])
def test_torch_files_of_both_formats_read_as_torch_reads_them(
    tmp_path: Path, is_zip: bool
) -> None:
    """Tensors, views, numpy arrays, scalars and containers come back equal."""
    torch.save(CONTENT, tmp_path / "x.pt", _use_new_zipfile_serialization=is_zip)

    assert_equal(read_torch_file(tmp_path / "x.pt"), CONTENT)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("is_zip", [True, False])
def test_every_protocol_and_what_torch_users_keep_beside_weights(
    tmp_path: Path, is_zip: bool, protocol: int
) -> None:
    """bfloat16 as the same numbers in float32; devices and dtypes as their names."""
    torch.save(
        CONTENT | OTHERS | {name: value for name, (value, _) in NAMES.items()},
        tmp_path / "x.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip,
    )  # fmt: skip

    loaded = read_torch_file(tmp_path / "x.pt")

    assert {name: loaded.pop(name) for name in NAMES} == {
        name: spelled for name, (_, spelled) in NAMES.items()
    }
    for name, value in OTHERS.items():
        found = np.asarray(loaded.pop(name))
        is_tensor = isinstance(value, torch.Tensor)
        assert not is_tensor or found.dtype == np.float32
        expected = value.detach().float().numpy() if is_tensor else np.asarray(value)
        np.testing.assert_array_equal(found, expected)
    assert_equal(loaded, CONTENT)


@pytest.mark.parametrize(
    "call",
    [
        ("numpy._core.numeric", "_frombuffer", (b"1234", np.dtype("f8"), (1,), "C")),
        ("numpy._core.numeric", "_frombuffer", (b"12345678", np.dtype("f8"), (-1,), "C")),
        ("numpy._core.numeric", "_frombuffer", (b"12345678", np.dtype("f8"), (1 << 40,), "C")),
        ("numpy._core.numeric", "_frombuffer", (b"12345678", np.dtype("O"), (1,), "C")),
        ("numpy._core.numeric", "_frombuffer", (8, np.dtype("u1"), (8,), "C")),
        ("numpy._core.numeric", "_frombuffer", (b"12345678", np.dtype("f8"), (1,), "K", (5,))),
        ("torch", "device", (["cpu"],)),
        ("torch", "device", ("cuda", "x" * 10)),
        ("torch", "float32", ()),
        ("numpy", "float32", (3,)),
    ],
)
def test_forged_buffers_devices_and_types_are_refused(
    tmp_path: Path, call: tuple[str, str, tuple[Any, ...]]
) -> None:
    """Bytes that do not fit, objects for bytes, types that are called: nothing is made of them."""
    module, name, arguments = call
    body = b"\x80\x04" + b"c" + f"{module}\n{name}\n".encode()
    body += pickle.dumps(arguments, protocol=2)[2:-1] + b"R."
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    (tmp_path / "x.npy").write_bytes(stream.getvalue() + body)

    with pytest.raises(CheckpointError, match=r"x\.npy"):
        read_object_array(tmp_path / "x.npy")


def test_a_byte_array_takes_no_more_room_than_the_file(tmp_path: Path) -> None:
    """Ten bytes that announce half a terabyte are refused before any room is made."""
    body = b"\x80\x05\x96" + (1 << 39).to_bytes(8, "little") + b"."
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    (tmp_path / "x.npy").write_bytes(stream.getvalue() + body)
    tracemalloc.start()

    with pytest.raises(CheckpointError, match=r"x\.npy"):
        read_object_array(tmp_path / "x.npy")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_object_arrays_read_as_numpy_reads_them(tmp_path: Path, suffix: str) -> None:
    """A dictionary in an object array of shape () comes back."""
    content = {k: v for k, v in CONTENT.items() if not isinstance(v, torch.Tensor)}
    array = np.array(content, dtype=object)
    if suffix == ".npz":
        np.savez(tmp_path / "x.npz", transform_params=array, allow_pickle=True)
    else:
        np.save(tmp_path / "x.npy", array, allow_pickle=True)

    assert_equal(read_object_array(tmp_path / f"x{suffix}"), content)


@pytest.mark.parametrize("attack", list(list_attacks(Path("x"))))
@pytest.mark.parametrize("kind", ["zip", "legacy", "bare", "npy", "npz"])
def test_code_is_refused_and_not_run(tmp_path: Path, attack: str, kind: str) -> None:
    """A pickle that names a function ends with a message that names it, and nothing happened."""
    marker = tmp_path / "executed"
    content = {"state_dict": {}, "bad": list_attacks(marker)[attack]}
    path = tmp_path / f"x.{kind if kind.startswith('np') else 'pt'}"
    if kind in {"zip", "legacy"}:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "bare":
        path.write_bytes(pickle.dumps(content))
    elif kind == "npy":
        np.save(path, np.array(content, dtype=object), allow_pickle=True)
    else:
        np.savez(path, transform_params=np.array(content, dtype=object), allow_pickle=True)
    read = read_object_array if kind.startswith("np") else read_torch_file

    with pytest.raises(CheckpointError, match="refused and nothing of it was run"):
        read(path)

    assert not marker.exists()


def test_code_hidden_in_the_first_pickle_of_a_legacy_file_is_refused(tmp_path: Path) -> None:
    """The magic number is read as carefully as the content."""
    marker = tmp_path / "executed"
    (tmp_path / "x.pt").write_bytes(pickle.dumps(Malicious(os.system, f"touch {marker}")))

    with pytest.raises(CheckpointError, match="refused"):
        read_torch_file(tmp_path / "x.pt")

    assert not marker.exists()


class Forged:
    """A numpy array whose pickled state is chosen by the attacker."""

    def __init__(self, dtype_state: Any, state: Any, code: str = "f8") -> None:
        self.parts = (dtype_state, state, code)

    def __reduce__(self) -> Any:
        dtype_state, (shape, data), code = self.parts
        kind = ForgedDType(code, dtype_state)
        rebuild = np.zeros(1).__reduce__()[0]
        return rebuild, (np.ndarray, (0,), b"b"), (1, shape, kind, False, data)


class ForgedDType:
    """A numpy dtype with a forged state."""

    def __init__(self, code: str, state: Any) -> None:
        self.code, self.state = code, state

    def __reduce__(self) -> Any:
        return np.dtype, (self.code, False, True), self.state


PLAIN = (3, "<", None, None, None, -1, -1, 0)


@pytest.mark.parametrize(
    "forged",
    [
        Forged(PLAIN, ((1000,), b"12345678")),
        Forged(PLAIN, ((-1,), b"12345678")),
        Forged((3, "|", None, None, None, -1, -1, 0), ((1,), b"12345678"), "O"),
        Forged(
            (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0), ((1,), b"12345678"), "V8"
        ),
        Forged(PLAIN, ((1,), b"12345678"), "M8"),
    ],
)
def test_arrays_whose_state_is_forged_are_refused(tmp_path: Path, forged: Forged) -> None:
    """Wrong lengths, object arrays over raw bytes and records never reach numpy."""
    np.save(tmp_path / "x.npy", np.array({"a": forged}, dtype=object), allow_pickle=True)

    with pytest.raises(CheckpointError):
        read_object_array(tmp_path / "x.npy")


class ForgedTensor:
    """A tensor that claims more memory than its storage has."""

    def __reduce__(self) -> Any:
        storage = torch.zeros(4).storage()
        return torch._utils._rebuild_tensor_v2, (storage, 2, (100,), (1,), False, OrderedDict())


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_tensors_outside_their_storage_are_refused(tmp_path: Path, is_zip: bool) -> None:
    """A view past the end of its memory is an error, not a leak."""
    torch.save({"a": ForgedTensor()}, tmp_path / "x.pt", _use_new_zipfile_serialization=is_zip)

    with pytest.raises(CheckpointError):
        read_torch_file(tmp_path / "x.pt")


@pytest.mark.parametrize("is_zip", [True, False])
def test_every_truncated_file_is_refused(tmp_path: Path, is_zip: bool) -> None:
    """Wherever a copy broke off, it is said with the path."""
    path = tmp_path / "x.pt"
    torch.save(CONTENT, path, _use_new_zipfile_serialization=is_zip)
    data = path.read_bytes()
    for n_bytes in [0, 1, 4, *range(10, len(data) - 1, 97), len(data) - 1]:
        path.write_bytes(data[:n_bytes])

        with pytest.raises(CheckpointError, match=r"x\.pt"):
            read_torch_file(path)


@pytest.mark.parametrize("text", ["", "hello\n", "PK\x03\x04 not really", "{}", "\x80\x02}."])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    """Text, half an archive and a bare pickle are no checkpoints and no transforms."""
    for name, read in (
        ("x.pt", read_torch_file),
        ("x.npy", read_object_array),
        ("x.npz", read_object_array),
    ):
        (tmp_path / name).write_text(text, encoding="latin1")

        with pytest.raises(CheckpointError, match="another kind of file, or an incomplete one"):
            read(tmp_path / name)


def test_plain_arrays_are_no_transforms(tmp_path: Path) -> None:
    """A .npy of numbers is said to be one."""
    np.save(tmp_path / "x.npy", np.arange(3.0))

    with pytest.raises(CheckpointError, match="in place of a dictionary"):
        read_object_array(tmp_path / "x.npy")
