"""Models from outside that mean harm: none runs code or takes memory out of proportion."""

import io
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from kraken_bids.exceptions import CheckpointError, KrakenBidsError
from kraken_bids.io import unpickler
from kraken_bids.io.pickles import read_object_array, read_torch_file
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.published_transforms import read_transforms

MEMORY = 60_000_000


@contextmanager
def small_memory() -> Iterator[None]:
    """Fail if more memory is taken than small files have a right to."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY


@contextmanager
def refused(match: str | None = None) -> Iterator[None]:
    """Expect one of our errors, and little memory taken."""
    with small_memory(), pytest.raises(CheckpointError, match=match):
        yield


def op_global(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


BILLION_LAUGHS = b"]" + b"".join(
    b"q" + bytes([i]) + b"]" + (b"h" + bytes([i]) + b"a") * 9 for i in range(40)
)
PICKLES = {
    "bytes of 2^31": op_global("builtins", "bytes") + b"J\xff\xff\xff\x7f\x85R",
    "bytearray of 2^31": op_global("builtins", "bytearray") + b"J\xff\xff\xff\x7f\x85R",
    "declared string of 2^62": b"\x8e" + struct.pack("<Q", 2**62),
    "declared string of 2^31": b"B\xff\xff\xff\x7f",
    "array of 2^31": op_global("numpy", "ndarray") + b"J\xff\xff\xff\x7f\x85R",
    "list in itself": b"]q\x00h\x00a",
    "billion laughs": BILLION_LAUGHS,
    "text of a billion laughs": op_global("builtins", "str") + BILLION_LAUGHS + b"\x85R",
    "dtype of a billion laughs": op_global("numpy", "dtype") + BILLION_LAUGHS + b"\x85R",
    "new attributes of a rebuilder": op_global("numpy.core.multiarray", "_reconstruct")
    + b"}X\x01\x00\x00\x00aK\x01sb",
    "defaults of a rebuilder": op_global("_codecs", "encode")
    + b"N}X\x0c\x00\x00\x00__defaults__)s\x86b",
}


def write_pickle(path: Path, body: bytes, kind: str) -> None:
    """Put the opcodes into a file of a kind that is otherwise sound."""
    data = b"\x80\x04" + body + b"."
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", data)
            archive.writestr("x/byteorder", "little")
    elif kind == "legacy":
        parts = (unpickler_magic(), 1001, {"little_endian": True})
        path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts) + data + b"]." * 2)
    else:
        stream = io.BytesIO()
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(data)
        path.write_bytes(stream.getvalue())


def unpickler_magic() -> int:
    return 0x1950A86A20F9469CFC6C


@pytest.mark.parametrize("attack", list(PICKLES))
@pytest.mark.parametrize("kind", ["zip", "legacy", "npy"])
def test_pickles_that_ask_for_memory_are_refused(tmp_path: Path, attack: str, kind: str) -> None:
    """A hundred bytes that ask for gigabytes, or for a text without end, get neither."""
    path = tmp_path / ("x.npy" if kind == "npy" else "x.pt")
    write_pickle(path, PICKLES[attack], kind)
    read = read_object_array if kind == "npy" else read_torch_file

    with refused(path.name):
        read(path)


def test_a_place_far_out_takes_no_memory(tmp_path: Path) -> None:
    """A value remembered under the number 2^31 - 1 is one value."""
    write_pickle(tmp_path / "x.npy", b"Nr\xff\xff\xff\x7f", "npy")

    with small_memory():
        assert read_object_array(tmp_path / "x.npy") is None


def test_rebuilders_stay_as_they_are(tmp_path: Path) -> None:
    """The attacks on their attributes left nothing behind for the next file."""
    for attack in ("new attributes of a rebuilder", "defaults of a rebuilder"):
        write_pickle(tmp_path / "x.npy", PICKLES[attack], "npy")
        with refused("refused and nothing of it was run"):
            read_object_array(tmp_path / "x.npy")

    assert vars(unpickler._rebuild_array) == {}
    assert unpickler._rebuild_bytes.__defaults__ == ("latin1",)


class Stretched:
    """A tensor of terabytes over a storage of one number."""

    def __reduce__(self) -> Any:
        storage = torch.zeros(1).storage()
        size = (10**6, 10**6)
        return torch._utils._rebuild_tensor_v2, (storage, 0, size, (0, 0), False, OrderedDict())


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_tensors_that_repeat_their_storage_are_refused(tmp_path: Path, is_zip: bool) -> None:
    """Copied, it would fill any memory."""
    torch.save({"a": Stretched()}, tmp_path / "x.pt", _use_new_zipfile_serialization=is_zip)

    with refused("declared shape"):
        read_torch_file(tmp_path / "x.pt")


@pytest.mark.parametrize("kind", ["pt", "npz"])
def test_zip_bombs_are_refused_before_they_unpack(tmp_path: Path, kind: str) -> None:
    """Some hundred kilobytes that unpack to a thousand times as much."""
    path = tmp_path / f"x.{kind}"
    member = "x/data/0" if kind == "pt" else "transform_params.npy"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02N.")
        with archive.open(member, "w") as stream:
            for _ in range(80):
                stream.write(bytes(1 << 20))
    read = read_torch_file if kind == "pt" else read_object_array

    with refused("an archive that declares 83,"):
        read(path)


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "..\\evil", "C:\\evil"])
def test_archives_with_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    """Nothing is unpacked to disk, and such a file is no model."""
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02N.")
        archive.writestr(name, b"evil")

    with refused("leads out of it"):
        read_torch_file(tmp_path / "x.pt")

    assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]


def set_key(content: dict[str, Any], key: str, value: Any) -> None:
    content[key] = value


LIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "latent of 10^12": lambda c: set_key(c, "latentsize", 10**12),
    "latent of 10^7": lambda c: set_key(c, "latentsize", 10**7),
    "negative latent": lambda c: set_key(c, "latentsize", -5),
    "inputs of 10^8": lambda c: set_key(c, "input_size_list", [10**8] * 3),
    "layers without end": lambda c: set_key(c, "hiddenlayers", [6] * 20_000),
    "too few sizes": lambda c: set_key(c, "input_size_list", [6]),
    "a dropout too few": lambda c: set_key(c, "dropout_final_layer_list", [0.1]),
    "weights of text": lambda c: set_key(c, "state_dict", {"encoder_list.0.0.weight": "x"}),
    "weights as a list": lambda c: set_key(c, "state_dict", [1, 2]),
    "layers without number": lambda c: set_key(
        c, "state_dict", {k.replace(".0.0.", ".0.x."): v for k, v in c["state_dict"].items()}
    ),
    "names of lists": lambda c: set_key(c, "input_name_list", [[["x"]], 3, None]),
    "twice the same flavor": lambda c: set_key(c, "input_name_list", ["FCcorr_mini_hpf"] * 3),
    "names with dots": lambda c: set_key(c, "input_name_list", [f"FC_a.{i}_b" for i in range(3)]),
    "text for a number": lambda c: set_key(c, "leakyrelu_negative_slope", "steep"),
    "a list for a number": lambda c: set_key(c, "dropout", [0.5]),
    "a number beyond floats": lambda c: set_key(c, "dropout", 10**400),
    "sizes without end": lambda c: set_key(c, "latentsize", float("inf")),
}


@pytest.mark.parametrize("lie", list(LIES))
def test_checkpoints_that_lie_about_their_network_are_refused(published: Any, lie: str) -> None:
    """Sizes are compared with the weights that are there before a network is made."""
    published.write()
    content = torch.load(published.checkpoint, weights_only=False)
    LIES[lie](content)
    torch.save(content, published.checkpoint)

    with refused("kraken_chkpt_tiny"):
        load_model(published.checkpoint, device="cpu")


@pytest.mark.parametrize(
    "changes",
    [
        {"input_dimension": 10**12},
        {"input_dimension": -1},
        {"pca_components": np.zeros((6, 7), np.float32)},
        {"pca_components": np.zeros(6, np.float32)},
        {"pca_input_mean": np.zeros(5, np.float32)},
        {"type": "none", "input_dimension": 10**12},
        {"type": ["pca", ["x"]]},
        {"type": None},
    ],
)
def test_transforms_that_lie_about_their_edges_are_refused(
    published: Any, changes: dict[str, Any]
) -> None:
    """Statistics that do not fit the edges, or sizes that nothing stands behind."""
    published.write()
    content = {
        **published.content,
        "FCcorr_mini_hpf": published.content["FCcorr_mini_hpf"] | changes,
    }
    np.save(published.transforms, np.array(content, dtype=object), allow_pickle=True)

    with refused():
        load_model(published.checkpoint, transforms=[published.transforms], device="cpu")


def write_absurd(group: h5py.Group) -> None:
    group.create_dataset("pca_components", (10**6, 10**6), "f4", chunks=(64, 64))


def write_external(group: h5py.Group) -> None:
    group.create_dataset("pca_components", (2, 28), "f4", external="/etc/passwd")


def write_link(group: h5py.Group) -> None:
    group["pca_components"] = h5py.ExternalLink("/etc/other.h5", "/x")


def write_loop(group: h5py.Group) -> None:
    group["pca_components"] = group


def write_references(group: h5py.Group) -> None:
    group.create_dataset("pca_components", (3,), h5py.ref_dtype)


def write_attribute(group: h5py.Group) -> None:
    group.attrs["type"] = h5py.Empty("f4")


@pytest.mark.parametrize(
    "write",
    [write_absurd, write_external, write_link, write_loop, write_references, write_attribute],
)
def test_hdf5_transforms_are_read_with_care(
    tmp_path: Path, write: Callable[[h5py.Group], None]
) -> None:
    """Terabytes declared, values in other files, links, loops and references are refused."""
    with h5py.File(tmp_path / "kraken_ioxfm_x.h5", "w") as file:
        group = file.create_group("FCcorr_mini_hpf")
        group.attrs["type"] = "pca"
        write(group)

    with refused():
        read_transforms(tmp_path / "kraken_ioxfm_x.h5")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_never_end_in_another_error(published: Any, seed: int) -> None:
    """Random bytes changed in either file: a model, or one of our errors."""
    rng = np.random.default_rng(seed)
    published.write(legacy=bool(seed % 2))
    path = (published.checkpoint, published.transforms)[seed // 2 % 2]
    data = bytearray(path.read_bytes())
    head = min(len(data), 3000)
    for place in rng.integers(0, head, size=3):
        data[place] = rng.integers(0, 256)
    path.write_bytes(data)

    try:
        load_model(published.checkpoint, transforms=[published.transforms], device="cpu")
    except KrakenBidsError as error:
        assert path.stem in str(error)  # noqa: PT017
