"""Networks of volumes against independent sums, and against the release's own answers."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from kraken_bids.exceptions import CheckpointError, SettingsError
from kraken_bids.models.volumes.architecture import PUBLISHED_STATES, VolumeArchitecture
from kraken_bids.models.volumes.network import build_network
from kraken_bids.models.volumes.padding import list_pads
from kraken_bids.models.volumes.published_weights import (
    read_published_weights,
    read_slice_weights,
)
from kraken_bids.models.volumes.slice_relevance import (
    explain_slices,
    stabilize_original,
    stabilize_signed,
)

ORACLE = Path(__file__).parents[4] / "shared" / "oracles" / "deeplight2d_slices.npz"
RELEASE = os.environ.get("DEEPLIGHT_2D_WEIGHTS", "")
"""Path of the 2D release's weights, which carry no licence to copy them."""


@pytest.fixture(scope="module")
def release():
    if not RELEASE or not ORACLE.is_file():
        pytest.skip(
            "needs model-2D_DeepLight_desc-pretrained_model.npy, which carries no licence to copy "
            f"it (its path in DEEPLIGHT_2D_WEIGHTS), and {ORACLE}"
        )
    return read_slice_weights(Path(RELEASE)), np.load(ORACLE)


def test_odd_voxels_of_the_padding_go_behind() -> None:
    """As TensorFlow defines SAME: an even length at stride 2 is padded behind alone."""
    assert list_pads((109, 91, 92, 5), 2) == [(1, 1), (1, 1), (0, 1), (1, 1)]
    assert list_pads((4, 5), 1) == [(1, 1), (1, 1)]


@pytest.mark.parametrize(("kind", "n_weights"), [("2d", 594_888), ("3d", 889_256 + 1_024)])
def test_networks_have_the_published_shapes(kind, n_weights) -> None:
    """The 3D release counts running means and variances of its 512 channels too."""
    architecture = VolumeArchitecture(kind, PUBLISHED_STATES[:16])
    network = build_network(architecture)
    assert sum(values.numel() for values in network.parameters()) == n_weights
    assert architecture.shrink((91, 109, 91)) == (3, 4, 3)


def test_slices_are_read_as_written_out() -> None:
    """Convolutions, flattening by y, x and channel, and gates, in numpy and float64."""
    torch.manual_seed(0)
    architecture = VolumeArchitecture("2d", ("a", "b"), (5, 6, 4), (2, 3), (1, 2))
    network = build_network(architecture).double().eval()
    volume = torch.randn(5, 6, 4, dtype=torch.float64)
    features = [read_slice(network, volume[:, :, k].numpy().T) for k in range(4)]
    last = np.concatenate(
        [run_lstm(network.lstm, features, ""), run_lstm(network.lstm, features[::-1], "_reverse")]
    )
    expected = to_numpy(network.output.weight) @ last + to_numpy(network.output.bias)
    with torch.no_grad():
        np.testing.assert_allclose(network(volume[None])[0].numpy(), expected, atol=1e-12)


def test_cubes_average_rectified_maps() -> None:
    """With batch normalisation as training left it, and no negative logit."""
    torch.manual_seed(1)
    network = (
        build_network(VolumeArchitecture("3d", ("a", "b"), (5, 6, 4), (2, 3), (1, 2)))
        .double()
        .eval()
    )
    with torch.no_grad():
        for norm in network.norms:
            for values in (norm.weight, norm.bias, norm.running_mean):
                values.normal_()
            norm.running_var.uniform_(0.5, 2)
    volume = torch.randn(1, 5, 6, 4, dtype=torch.float64)
    maps = volume.numpy()
    for convolution, norm in zip(network.convolutions, network.norms, strict=True):
        maps = convolve(maps, convolution).clip(min=0)
        mean, var, weight, bias = (
            to_numpy(v)[:, None, None, None]
            for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        maps = (maps - mean) / np.sqrt(var + 1e-3) * weight + bias
    weight = to_numpy(network.output.weight)[:, :, 0, 0, 0]
    bias = to_numpy(network.output.bias)[:, None, None, None]
    expected = (np.einsum("oi,ixyz->oxyz", weight, maps) + bias).clip(min=0).mean((1, 2, 3))
    with torch.no_grad():
        np.testing.assert_allclose(network(volume)[0].numpy(), expected, atol=1e-12)


def test_relevance_of_slices_follows_the_published_rule() -> None:
    """The LSTM's rule by a loop over units, with relevance kept where epsilon is all but 0."""
    torch.manual_seed(2)
    architecture = VolumeArchitecture("2d", ("a", "b"), (5, 6, 3), (2, 3), (1, 2))
    network = build_network(architecture).double().eval()
    with torch.no_grad():
        for values in network.parameters():
            if values.ndim == 1:
                values.zero_()
    volume = torch.randn(5, 6, 3, dtype=torch.float64)
    flow = explain_slices(network, volume, 1, stabilize=lambda a: a + 1e-300)
    # without biases each layer but the LSTM keeps relevance; the LSTM keeps it too
    assert flow.lost == pytest.approx(dict.fromkeys(flow.lost, 0.0), abs=1e-9)
    assert float(flow.relevance.sum()) == pytest.approx(flow.logit)


def test_weights_of_the_release_give_its_logits(release) -> None:
    network, oracle = release
    volume = torch.from_numpy(oracle["volume_zyx"]).permute(2, 1, 0)
    with torch.no_grad():
        logits = network(volume[None]).numpy()
    np.testing.assert_allclose(logits, oracle["logits"], atol=1e-5, rtol=0)
    assert logits.argmax() == oracle["predicted"]


def test_relevance_equals_the_releases(release) -> None:
    network, oracle = release
    volume = torch.from_numpy(oracle["volume_zyx"]).permute(2, 1, 0)
    flow = explain_slices(network, volume, int(oracle["predicted"]), stabilize=stabilize_original)
    found = flow.relevance.permute(2, 1, 0)[:3].numpy()
    expected = oracle["relevance_first3"]
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    assert flow.logit == pytest.approx(0.7274, abs=1e-4)
    assert float(flow.relevance.sum()) == pytest.approx(0.6413, abs=1e-4)


def test_signed_epsilon_never_bursts_where_the_published_one_does() -> None:
    values = torch.tensor([-1e-3, -2e-3, 0.0, 1e-3])
    assert stabilize_original(values).abs().min() < 1e-9
    assert stabilize_signed(values).abs().min() >= 1e-3


def test_other_pickles_are_refused_by_name(tmp_path) -> None:
    path = tmp_path / "weights.npy"
    np.save(path, {"conv": np.zeros(3)}, allow_pickle=True)
    with pytest.raises(CheckpointError, match="expected the variable conv2d_1/weights"):
        read_slice_weights(path)


def write_cube_weights(path, *, n_states=4, n_norms=12):
    """Write random weights as Keras saves a model, axes z, y, x; returns them by layer."""
    rng = np.random.default_rng(0)
    sizes = (1, 8, 8, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, n_states)
    kernels = []
    with h5py.File(path, "w") as file:
        for k in range(13):
            size = (1, 1, 1) if k == 12 else (3, 3, 3)
            kernels.append(rng.normal(0, 0.1, (*size, sizes[k], sizes[k + 1])).astype(np.float32))
            layer = f"model_weights/conv3d_{k + 14}/conv3d_{k + 14}"
            file[f"{layer}/kernel:0"] = kernels[-1]
            file[f"{layer}/bias:0"] = np.full(sizes[k + 1], 0.01 * k, np.float32)
        for k in range(n_norms):
            layer = f"model_weights/batch_normalization_{k + 9}/batch_normalization_{k + 9}"
            for number, name in enumerate(("gamma", "beta", "moving_mean", "moving_variance")):
                file[f"{layer}/{name}:0"] = np.full(sizes[k + 1], number + 0.1 * k, np.float32)
    return kernels


def test_weights_of_keras_are_taken_by_name_and_turned_to_x_y_z(tmp_path) -> None:
    """Layers lie in the order of their names as text, in which 10 comes before 9."""
    path = tmp_path / "model.hdf5"
    kernels = write_cube_weights(path)
    network = read_published_weights(path)
    assert network.architecture.states == PUBLISHED_STATES[:4]
    for k, layer in enumerate([*network.convolutions, network.output]):
        np.testing.assert_array_equal(
            to_numpy(layer.weight), np.einsum("zyxio->oixyz", kernels[k])
        )
        assert to_numpy(layer.bias)[0] == np.float32(0.01 * k)
    last = network.norms[11]
    assert [
        float(to_numpy(v)[0])
        for v in (last.weight, last.bias, last.running_mean, last.running_var)
    ] == (pytest.approx([1.1, 2.1, 3.1, 4.1]))


def test_other_files_of_keras_are_refused(tmp_path) -> None:
    path = tmp_path / "model.hdf5"
    write_cube_weights(path, n_norms=3)
    with pytest.raises(CheckpointError, match="13 convolutions and 3 normalisations"):
        read_published_weights(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="weights of the 3D release"):
        read_published_weights(path)


def test_other_arrays_are_not_taken_for_weights(tmp_path) -> None:
    """The message is of decoders, whatever else is read from pickles."""
    path = tmp_path / "model.npy"
    with pytest.raises(CheckpointError, match=r"found no file .*model\.npy"):
        read_published_weights(path)
    np.save(path, np.zeros(3))
    with pytest.raises(CheckpointError, match="expected weights of the 2D release"):
        read_published_weights(path)


def test_shapes_that_cannot_be_are_refused() -> None:
    with pytest.raises(SettingsError, match="at least two states"):
        VolumeArchitecture("3d", ("rest",))
    with pytest.raises(SettingsError, match="a stride for each of 2"):
        VolumeArchitecture("3d", ("a", "b"), channels=(1, 2), strides=(1,))


def to_numpy(values):
    return values.detach().numpy()


def convolve(maps, layer):
    """Convolve maps [n_in, …] with zeros around, as a sum over taps."""
    stride = layer.stride[0]
    lengths = maps.shape[1:]
    padded = np.pad(maps, [(0, 0), *list_pads(lengths, stride)])
    weight = to_numpy(layer.weight)
    reached = [-(-n // stride) for n in lengths]
    out = np.zeros((len(weight), *reached))
    for tap in np.ndindex(*weight.shape[2:]):
        part = padded[
            (
                slice(None),
                *(
                    slice(t, t + (n - 1) * stride + 1, stride)
                    for t, n in zip(tap, reached, strict=True)
                ),
            )
        ]
        out += np.tensordot(weight[(..., *tap)], part, 1)
    return out + to_numpy(layer.bias).reshape(-1, *[1] * len(lengths))


def read_slice(network, values):
    """Features of a slice [y, x]."""
    maps = values[None]
    for layer in network.convolutions:
        maps = convolve(maps, layer).clip(min=0)
    return maps.transpose(1, 2, 0).ravel()


def run_lstm(lstm, features, direction):
    """Last hidden state; torch's order of gates is input, forget, candidate, output."""
    w_x, w_h, b_x, b_h = (
        to_numpy(getattr(lstm, f"{name}_l0{direction}"))
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    hidden, cell = np.zeros(w_h.shape[1]), np.zeros(w_h.shape[1])
    for x in features:
        i, f, j, o = np.split(w_x @ x + w_h @ hidden + b_x + b_h, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(j)
        hidden = sigmoid(o) * np.tanh(cell)
    return hidden


def sigmoid(values):
    return 1 / (1 + np.exp(-values))
