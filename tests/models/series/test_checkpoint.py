"""A model folder: read back as it was written, or refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kraken_bids.exceptions import CheckpointError, ConnectomeError
from kraken_bids.models.series.architecture import FRAMEWORKS, SeriesArchitecture
from kraken_bids.models.series.checkpoint import read_series_model, write_series_model
from kraken_bids.models.series.data_description import SeriesData
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.models.series.network import SeriesNetwork


def make_model(framework: str = "csm", n_classes: int = 0) -> SeriesModel:
    arch = SeriesArchitecture(framework, 6, embedding=8, n_heads=2, n_classes=n_classes)
    data = SeriesData(
        regions=tuple("abcdef"),
        n_regions=6, atlas="six", repetition_times=(0.72,), means=(0.0,) * 6,
        deviations=(1.0,) * 6, cleaning={"HighPass": 0.01}, n_runs=3, n_subjects=2,
    )  # fmt: skip
    return SeriesModel(
        SeriesNetwork(arch).eval(), data, longest=20,
        classes=tuple(map(str, range(n_classes))), provenance={"Seed": 1},
    )  # fmt: skip


def series(n_volumes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_volumes, 6))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("n_classes", [0, 3])
def test_a_model_is_read_as_it_was_written(framework: str, n_classes: int, tmp_path: Path) -> None:
    model = make_model(framework, n_classes)
    found = read_series_model(write_series_model(model, tmp_path / "model"))
    assert found.data == model.data
    assert (found.architecture, found.longest, found.classes, found.provenance) == (
        model.architecture, model.longest, model.classes, model.provenance
    )  # fmt: skip
    for name, values in model.network.state_dict().items():
        assert torch.equal(values, found.network.state_dict()[name])
    runs = [series(15), series(45)]
    embedded = found.embed(runs, [2.0, 0.72])
    assert embedded.shape == (2, 8)
    np.testing.assert_array_equal(embedded, model.embed(runs, [2.0, 0.72]))
    if n_classes:
        np.testing.assert_allclose(found.probabilities(runs, [2.0, 0.72]).sum(1), 1, rtol=1e-5)


def test_recurrent_layers_may_not_round_more_than_float32_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, encode = [], SeriesNetwork.encode

    def look(*values: object) -> torch.Tensor:
        seen.append(torch.backends.cudnn.allow_tf32)
        return encode(*values)

    monkeypatch.setattr(SeriesNetwork, "encode", look)
    make_model("autoencoder").embed([series(7)], [2.0])
    assert seen == [False]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("framework", ["csm", "bert", "netbert", "autoencoder"])
def test_a_gpu_gives_the_vectors_of_a_cpu(framework: str) -> None:
    model = make_model(framework)
    expected = model.embed([series(7), series(12, 1)], [2.0, 0.72])
    model.network.to("cuda")
    found = model.embed([series(7), series(12, 1)], [2.0, 0.72])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_long_series_is_the_mean_of_its_parts() -> None:
    model, whole = make_model(), series(40)
    parts = model.embed([whole[:20], whole[20:]], [2.0, 2.0])
    np.testing.assert_allclose(model.embed([whole], [2.0])[0], parts.mean(0), rtol=1e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_vector_does_not_depend_on_what_lies_beside(framework: str) -> None:
    model, runs = make_model(framework), [series(n, n) for n in (5, 20, 12)]
    together = model.embed(runs, [2.0, 0.72, 2.0])
    for one, time, found in zip(runs, [2.0, 0.72, 2.0], together, strict=True):
        np.testing.assert_allclose(model.embed([one], [time])[0], found, atol=1e-6)


def test_series_that_do_not_fit_are_refused() -> None:
    model = make_model()
    with pytest.raises(ConnectomeError, match="6 regions"):
        model.embed([np.zeros((5, 7))], [2.0])
    with pytest.raises(ConnectomeError, match="region 3"):
        model.embed([np.where(np.arange(6) == 2, np.nan, series(5))], [2.0])
    with pytest.raises(ConnectomeError, match="fine-tuned"):
        model.probabilities([series(5)], [2.0])
    for time in (0.0, -1.0, float("nan"), 20.0):
        with pytest.raises(ConnectomeError, match="repetition time"):
            model.embed([series(20)], [time])


def change(folder: Path, **values: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "model.json").unlink(),
        lambda folder: (folder / "model.json").write_text('{"format": '),
        lambda folder: (folder / "model.json").write_text("[]"),
        lambda folder: (folder / "weights.safetensors").unlink(),
        lambda folder: (folder / "weights.safetensors").write_bytes(b"\0" * 300),
        lambda folder: change(folder, format="another"),
        lambda folder: change(folder, format_version=2),
        lambda folder: change(folder, weights_sha256="0"),
        lambda folder: change(folder, architecture={}),
        lambda folder: change(folder, classes=["a"]),
        lambda folder: change(folder, longest=0),
        lambda folder: change(folder, data={}),
        lambda folder: change(
            folder, architecture=SeriesArchitecture("csm", 6, embedding=16).to_json()
        ),
    ],
)
def test_a_spoilt_folder_is_refused(spoil: Callable[[Path], object], tmp_path: Path) -> None:
    write_series_model(make_model(), tmp_path)
    spoil(tmp_path)
    with pytest.raises(CheckpointError):
        read_series_model(tmp_path)
