"""Models written in the published format: equal to what was read, and to the reference release."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kraken_bids.io.digests import compute_sha256
from kraken_bids.models.krakencoder.checkpoint import read_model, write_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.published_checkpoint import read_upstream
from kraken_bids.models.krakencoder.published_transforms import name_transforms
from kraken_bids.models.krakencoder.published_writer import write_upstream
from kraken_bids.models.krakencoder.reduction import REQUIRED_ARRAYS

CONFORMANCE = Path(__file__).resolve().parents[3].parent / "shared" / "conformance"
REFERENCE = os.environ.get("KRAKENCODER_REFERENCE", "")
"""A checkout of github.com/kjamison/krakencoder whose requirements are installed."""
needs_reference = pytest.mark.skipif(
    not REFERENCE, reason="KRAKENCODER_REFERENCE names no checkout of the reference release"
)

GROUPS = {
    "intergroup": True,
    "intergroup_layers": [4],
    "intergroup_inputgroup_list": ["fc", "sc", "fc"],
    "intergroup_transform_index_dict": {"sc->fc": 1, "fc->sc": 0},
    "intergroup_relu": True,
}
ARCHITECTURES: list[dict[str, Any]] = [
    {},
    {"dropout_final_layer": 0.1, "dropout_final_layer_list": [0.1, 0.2, 0.3]},
    {"hiddenlayers": [9, 7], "latent_normalize": False},
    {"hiddenlayers": [9, 7, 8], "relu_tanh_alternate": True, "leakyrelu_negative_slope": 0.1},
    {"hiddenlayers": [9, 7], "skip_relu": True, "latent_activation": "tanh"},
    {"hiddenlayers": [9], "latent_activation": "sigmoid", "no_bias_for_outer_layers": True},
    {"linear_include_bias": False},
    GROUPS,
    {**GROUPS, "intergroup_relu": False, "intergroup_layers": [], "hiddenlayers": [9]},
]

ANSWERS = """
import sys
import numpy as np
import torch
from krakencoder.data import load_transformers_from_file
from krakencoder.model import Krakencoder

checkpoint, transforms, inputs, output = sys.argv[1:]
network, info = Krakencoder.load_checkpoint(checkpoint, eval_mode=True)
names = info["input_name_list"]
found, _ = load_transformers_from_file([transforms], input_names=names, quiet=True)
answers = {}
with torch.no_grad(), np.load(inputs) as file:
    for i, source in enumerate(names):
        x = torch.as_tensor(found[source].transform(file[source]))
        answers[f"{source}->encoded"] = network(x, i, -1).numpy()
        for j, target in enumerate(names):
            y = found[target].inverse_transform(network(x, i, j)[1].numpy())
            answers[f"{source}->{target}"] = y.numpy()
np.savez(output, **answers)
"""


def ask_reference(*words: object) -> None:
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=REFERENCE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def predict_paths(model: Model, edges: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    answers = {}
    for source in model.flavors:
        latents = model.encode(source, edges[source.name])
        answers[f"{source}->encoded"] = latents
        for target in model.flavors:
            answers[f"{source}->{target}"] = model.decode(target, latents, source=source)
    return answers


@pytest.mark.parametrize("changes", ARCHITECTURES)
def test_weights_come_back_under_their_published_names(
    published: Any, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Read and written again, every weight has its name, place and bytes; so has each key."""
    oracle = published.write(**changes)
    model = read_upstream(published.checkpoint, device="cpu")
    folder = write_model(model, tmp_path / "folder")

    write_upstream(read_model(folder, "cpu"), tmp_path / "again.pt")

    before = torch.load(published.checkpoint, weights_only=False)
    after = torch.load(tmp_path / "again.pt", weights_only=True)
    assert list(after["state_dict"]) == list(oracle.state_dict())
    for name, values in oracle.state_dict().items():
        assert after["state_dict"][name].numpy().tobytes() == values.numpy().tobytes()
    unstable = {"state_dict", "training_params"}
    assert {key: after[key] for key in before if key not in unstable} == {
        key: value for key, value in before.items() if key not in unstable
    }


@pytest.mark.parametrize("kind", list(REQUIRED_ARRAYS))
def test_transforms_come_back_in_their_published_shapes(
    published: Any, tmp_path: Path, kind: str
) -> None:
    """Plain numpy reads every statistic of every type as it was published."""
    published.write(kind=kind)

    _, path = write_upstream(
        read_upstream(published.checkpoint, device="cpu"), tmp_path / "kraken_chkpt_x_ep000001.pt"
    )

    assert path == tmp_path / "kraken_ioxfm_x.npy"
    found = np.load(path, allow_pickle=True).item()
    assert list(found) == list(published.content)
    for name, expected in published.content.items():
        assert set(found[name]) == set(expected)
        for key, value in expected.items():
            np.testing.assert_array_equal(found[name][key], value)
            assert np.shape(found[name][key]) == np.shape(value)


def test_older_numpy_finds_the_names_in_the_transforms(published: Any, tmp_path: Path) -> None:
    """Numpy 2 moved the function that rebuilds arrays; the file names where numpy 1 has it."""
    published.write()

    _, path = write_upstream(read_upstream(published.checkpoint), tmp_path / "x.pt")

    assert b"numpy._core" not in path.read_bytes()
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in path.read_bytes()


def test_a_model_of_ours_is_written_with_its_origin(
    make_model: Callable[..., Model], rng: np.random.Generator, tmp_path: Path
) -> None:
    """A model that was never published: same answers to the last bit, provenance kept."""
    model = replace(make_model(), provenance={"Training": {"epochs": 3}, "Subjects": ["a"]})
    edges = {f.name: rng.normal(size=(3, model.n_edges(f))) for f in model.flavors}

    checkpoint, transforms = write_upstream(model, tmp_path / "mine.pt")

    again = read_upstream(checkpoint, device="cpu")
    assert again.provenance["Training"] == {"epochs": 3}
    assert again.provenance["Transforms"] == [transforms.name]
    assert again.provenance["input_transformation_info"] == "pc6"
    for key, values in predict_paths(model, edges).items():
        np.testing.assert_array_equal(predict_paths(again, edges)[key], values)


def test_a_model_keeps_its_identity_in_either_format(
    make_model: Callable[..., Model], tmp_path: Path
) -> None:
    """What was saved for a folder is taken for the .pt made of it; a new model gets its own."""
    model = make_model()
    named = replace(model, sha256="ab" * 32)
    for given, kept in ((named, True), (model, False)):
        checkpoint, transforms = write_upstream(given, tmp_path / "x.pt")
        again = read_upstream(checkpoint, [transforms], "cpu")

        assert (again.sha256 == given.sha256) is kept
        assert again.sha256 == (given.sha256 if kept else compute_sha256(checkpoint))
        assert read_model(write_model(again, tmp_path / "y"), "cpu").sha256 == again.sha256


def test_each_checkpoint_of_a_folder_finds_its_own_transforms(
    make_model: Callable[..., Model], tmp_path: Path
) -> None:
    """Two models side by side, alike in everything but their numbers."""
    one, other = make_model(), make_model()
    flavor = one.flavors[0]
    doubled = {n: v * np.float32(2) for n, v in other.reductions[flavor].arrays.items()}
    other = replace(
        other,
        reductions={**other.reductions, flavor: replace(other.reductions[flavor], arrays=doubled)},
    )
    write_upstream(one, tmp_path / "a_ep000010.pt")
    write_upstream(other, tmp_path / "b.pt")

    found = read_upstream(tmp_path / "b.pt", device="cpu")

    assert found.provenance["Transforms"] == [name_transforms(tmp_path / "b.pt").name]
    np.testing.assert_array_equal(
        found.reductions[flavor].arrays["pca_input_mean"], doubled["pca_input_mean"]
    )


@needs_reference
@pytest.mark.parametrize(
    ("changes", "kind"),
    [*((changes, "") for changes in ARCHITECTURES), *(({}, kind) for kind in REQUIRED_ARRAYS)],
)
def test_the_reference_release_gives_our_answers(
    published: Any, tmp_path: Path, changes: dict[str, Any], kind: str
) -> None:
    """Every path of what we wrote, through its own loader, to 1e-5 of the largest value."""
    published.write(kind=kind, **changes)
    model = read_upstream(published.checkpoint, device="cpu")
    written = write_upstream(model, tmp_path / "x.pt")
    rng = np.random.default_rng(5)
    edges = {f.name: rng.uniform(0.1, 3, size=(4, model.n_edges(f))) for f in model.flavors}
    np.savez(tmp_path / "inputs.npz", **edges)

    ask_reference("-c", ANSWERS, *written, tmp_path / "inputs.npz", tmp_path / "answers.npz")

    expected = read(tmp_path / "answers.npz")
    actual = predict_paths(read_upstream(written[0], device="cpu"), edges)
    assert set(actual) == set(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(actual[key], values, atol=1e-5 * np.abs(values).max())


@pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="the conformance data (../shared/conformance) are not here"
)
def test_the_published_model_survives_our_folder(tmp_path: Path) -> None:
    """Published, our folder, published: weights and statistics to the last byte."""
    checkpoint, transforms = next(CONFORMANCE.glob("*.pt")), next(CONFORMANCE.glob("*ioxfm*.npy"))
    folder = write_model(read_upstream(checkpoint, [transforms], "cpu"), tmp_path / "folder")

    again = write_upstream(read_model(folder, "cpu"), tmp_path / checkpoint.name)

    before = torch.load(checkpoint, weights_only=False)["state_dict"]
    after = torch.load(again[0], weights_only=True)["state_dict"]
    assert list(after) == list(before)
    assert all(after[k].numpy().tobytes() == before[k].numpy().tobytes() for k in before)
    old = np.load(transforms, allow_pickle=True).item()
    new = np.load(again[1], allow_pickle=True).item()
    for name, statistics in old.items():
        for key in ("pca_components", "pca_input_mean", "input_normscale", "output_normscale"):
            assert new[name][key].tobytes() == statistics[key].tobytes()
