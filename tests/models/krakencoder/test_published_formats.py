"""Every kind of published model, through load_model and kraken-tools predict, against plain code.

The oracle is written from the description of the formats alone: numpy for transforms, adaptation
and fusion, plain torch modules for the network.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.io import loadmat

from kraken_bids.cli.commands.predict import predict
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.reduction import REQUIRED_ARRAYS
from kraken_bids.models.krakencoder.saved_adaptation import read_adaptation

NAMES = ("FCcorr_mini_hpf", "SCifod2act_mini_volnorm", "FCpcorr_other_hpf")
EDGES = (28, 28, 45)
GROUPS = {
    "intergroup": True,
    "intergroup_layers": [4],
    "intergroup_inputgroup_list": ["fc", "sc", "fc"],
    "intergroup_transform_index_dict": {"fc->sc": 0, "sc->fc": 1},
    "intergroup_relu": True,
}
ARCHITECTURES: list[dict[str, Any]] = [
    {"latent_normalize": False},
    {"hiddenlayers": [9, 7]},
    {"hiddenlayers": [9, 7], "leakyrelu_negative_slope": 0.2},
    {"hiddenlayers": [9, 7, 8], "relu_tanh_alternate": True, "leakyrelu_negative_slope": 0.1},
    {"hiddenlayers": [9], "skip_relu": True},
    {"hiddenlayers": [9], "latent_activation": "tanh"},
    {"hiddenlayers": [9, 7], "latent_activation": "sigmoid", "no_bias_for_outer_layers": True},
    {"linear_include_bias": False},
    GROUPS,
]
SOURCES = {
    "fusion": NAMES,
    "fusionSC": NAMES[1:2],
    "fusionFC": (NAMES[0], NAMES[2]),
    **{name: (name,) for name in NAMES},
}


def forward(x: np.ndarray, p: dict[str, Any]) -> np.ndarray:
    kind = p["type"]
    if kind == "pca":
        y = (x - p["pca_input_mean"]) @ p["pca_components"].T
        return p["output_normscale"] * y / p["input_normscale"]
    if kind == "tsvd":
        return p["output_normscale"] * (x @ p["tsvd_components"].T) / p["input_normscale"]
    if kind == "norm":
        return p["output_normscale"] * x / p["input_normscale"]
    if kind == "lognorm+rownorm":
        low = p["input_minimum_nonzero"]
        z = (np.log10(np.clip(x, low, None)) - p["input_logmean_nonzero"]) / p[
            "input_logstdev_nonzero"
        ]
        scaled = z * p["output_logstdev_nonzero"] + p["output_logmean_nonzero"]
        return scaled * (x >= low) / p["input_rownorm_mean"]
    scale = p.get("input_stdev", 1) * p.get("input_variance", 1) * p.get("input_rownorm_mean", 1)
    return (x - p.get("input_mean", 0)) / scale


def inverse(y: np.ndarray, p: dict[str, Any]) -> np.ndarray:
    kind = p["type"]
    if kind in {"pca", "tsvd"}:
        x = (y / p["output_normscale"] * p["input_normscale"]) @ p[f"{kind}_components"]
        return x + p.get("pca_input_mean", 0)
    if kind == "norm":
        return y / p["output_normscale"] * p["input_normscale"]
    if kind == "lognorm+rownorm":
        z = (y * p["input_rownorm_mean"] - p["output_logmean_nonzero"]) / p[
            "output_logstdev_nonzero"
        ]
        return 10 ** (z * p["input_logstdev_nonzero"] + p["input_logmean_nonzero"])
    scale = p.get("input_stdev", 1) * p.get("input_variance", 1) * p.get("input_rownorm_mean", 1)
    return y * scale + p.get("input_mean", 0)


def adapt(x: np.ndarray, p: dict[str, Any], mode: str) -> np.ndarray:
    training_mean = np.ravel(p.get("pca_input_mean", p.get("input_mean", 0.0))).astype(float)
    if mode == "none" or training_mean.size != x.shape[1]:
        return x
    mean = x.mean(0)
    b0, b1 = np.polyfit(mean, training_mean, 1)
    if mode == "meanshift":
        return x - mean + training_mean
    return b0 * x + b1 if mode == "meanfit" else b0 * x - b0 * mean + training_mean


class Oracle:
    """Answers of a published model, computed by the book."""

    def __init__(self, network: torch.nn.Module, published: Any, groups: dict[str, Any]) -> None:
        self.network, self.content, self.groups = network.double(), published.content, groups

    def answer(self, edges: dict[str, np.ndarray], mode: str = "none") -> dict[str, np.ndarray]:
        """Latents and predictions of every source."""
        with torch.inference_mode():
            latents = {
                name: self.network.encoder_list[i](
                    torch.from_numpy(
                        forward(adapt(edges[name], self.content[name], mode), self.content[name])
                    ).double()
                )
                for i, name in enumerate(NAMES)
            }
            answers = {}
            for source, members in SOURCES.items():
                fused = torch.stack([latents[name] for name in members]).mean(0)
                answers[f"{source}->encoded"] = fused.numpy()
                for j, target in enumerate(NAMES):
                    carried = [self.carry(latents[name], name, target) for name in members]
                    decoded = self.network.decoder_list[j](torch.stack(carried).mean(0)).numpy()
                    answers[f"{source}->{target}"] = inverse(decoded, self.content[target])
        return answers

    def carry(self, latents: torch.Tensor, source: str, target: str) -> torch.Tensor:
        """Latents translated from one flavor's group to another's."""
        if not self.groups:
            return latents
        groups = self.groups["intergroup_inputgroup_list"]
        path = f"{groups[NAMES.index(source)]}->{groups[NAMES.index(target)]}"
        index = self.groups["intergroup_transform_index_dict"].get(path)
        return latents if index is None else self.network.intergroup_transform_list[index](latents)


@pytest.fixture
def edges() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    return {
        name: rng.uniform(0.2, 3, size=(12, n)) * rng.uniform(0.5, 2, size=n)
        for name, n in zip(NAMES, EDGES, strict=True)
    }


def run(published: Any, output: Path, *words: Any) -> dict[str, np.ndarray]:
    every = ["--model", published.checkpoint, "--transforms", published.transforms]
    every += ["--output", output, "--device", "cpu", *words]
    result = CliRunner().invoke(predict, [str(word) for word in every])
    assert result.exit_code == 0, result.output
    if output.suffix != ".npz":
        return {}
    with np.load(output) as file:
        return dict(file)


def assert_equal(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(actual) == {*expected, "subjects"}
    for key, values in expected.items():
        np.testing.assert_allclose(actual[key], values, atol=1e-5 * np.abs(values).max())


def check(
    published: Any, oracle: Oracle, edges: dict[str, np.ndarray], mode: str = "none"
) -> None:
    inputs = published.folder / "inputs.npz"
    np.savez(inputs, **edges)
    words = ["--input", inputs, "--adaptation-mode", mode, "--sources", *SOURCES]
    actual = run(published, published.folder / "out.npz", *words)
    assert_equal(actual, oracle.answer(edges, mode))


@pytest.mark.parametrize("kind", list(REQUIRED_ARRAYS))
def test_every_transform(published: Any, edges: dict[str, np.ndarray], kind: str) -> None:
    """Every type, affine or not, gives the formulas' predictions."""
    network = published.write(kind=kind)

    check(published, Oracle(network, published, {}), edges)


@pytest.mark.parametrize("changes", ARCHITECTURES)
@pytest.mark.parametrize("kind", ["pca", "cfeat", "lognorm+rownorm"])
def test_every_network(
    published: Any, edges: dict[str, np.ndarray], changes: dict[str, Any], kind: str
) -> None:
    """Deep, nonlinear, without biases, with translations between groups, after any transform."""
    network = published.write(kind=kind, **changes)
    groups = changes if "intergroup" in changes else {}

    check(published, Oracle(network, published, groups), edges)


@pytest.mark.parametrize("mode", ["none", "meanshift", "meanfit", "meanfit+meanshift"])
@pytest.mark.parametrize(
    ("kind", "changes"),
    [("pca", {}), ("pca", {"hiddenlayers": [9]}), ("cfeat+norm", {}), ("zfeat", GROUPS)],
)
def test_every_adaptation(
    published: Any, edges: dict[str, np.ndarray], mode: str, kind: str, changes: dict[str, Any]
) -> None:
    """Adapted after the projection, as if the edges had been adapted before it."""
    network = published.write(kind=kind, **changes)
    groups = changes if "intergroup" in changes else {}

    check(published, Oracle(network, published, groups), edges, mode)


def test_what_an_adaptation_reports(published: Any, edges: dict[str, np.ndarray]) -> None:
    """Slope, intercept, subjects and R² are those of the fit of the training mean on the mean."""
    published.write(kind="pca")
    inputs, saved = published.folder / "inputs.npz", published.folder / "site.h5"
    np.savez(inputs, **edges)

    run(published, published.folder / "o.npz", "--input", inputs, "--save-adaptation", saved)

    for name, fit in read_adaptation(saved).flavors.items():
        mean, goal = edges[name.name].mean(0), published.content[name.name]["pca_input_mean"]
        np.testing.assert_allclose((fit.b0, fit.b1), np.polyfit(mean, goal, 1), rtol=1e-4)
        np.testing.assert_allclose(fit.r2, np.corrcoef(mean, goal)[0, 1] ** 2, rtol=1e-4)
        assert (fit.n_subjects, fit.mode) == (12, "meanfit+meanshift")


@pytest.mark.parametrize("legacy", [True, False])
def test_old_checkpoints(published: Any, edges: dict[str, np.ndarray], legacy: bool) -> None:
    """Without the keys that came later, in either of torch's formats."""
    network = published.write(legacy=legacy)
    content = torch.load(published.checkpoint, weights_only=False)
    later = {
        "hiddenlayers", "linear_include_bias", "no_bias_for_outer_layers", "dropout_final_layer",
        "intergroup", "intergroup_dropout", "adversarial_boolean_list", "orig_input_size_list",
        "input_transformation_info", "training_params", "epoch",
    }  # fmt: skip
    old = {key: value for key, value in content.items() if key not in later}
    torch.save(old, published.checkpoint, _use_new_zipfile_serialization=not legacy)

    check(published, Oracle(network, published, {}), edges)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_every_format_of_transforms(
    published: Any, edges: dict[str, np.ndarray], suffix: str
) -> None:
    """HDF5 as the reference release lays it out: numbers and text as attributes."""
    network = published.write(kind="cfeat+norm")
    path = published.folder / f"kraken_ioxfm_again{suffix}"
    if suffix == ".npz":
        np.savez_compressed(path, transform_params=np.array(published.content, dtype=object))
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, parameters in published.content.items():
                group = file.create_group(name)
                for key, value in parameters.items():
                    if isinstance(value, np.ndarray):
                        group.create_dataset(key, data=value, compression="gzip")
                    else:
                        group.attrs[key] = value
    else:
        published.transforms.rename(path)
    published.transforms = path

    check(published, Oracle(network, published, {}), edges)


def test_merged_checkpoints(published: Any, edges: dict[str, np.ndarray]) -> None:
    """What merging leaves behind, whole descriptions of the parts, is no hindrance."""
    network = published.write()
    content = torch.load(published.checkpoint, weights_only=False)
    parts = {key: value for key, value in content.items() if key != "state_dict"}
    merged = {
        "merged_checkpointfile_list": ["a.pt", "b.pt"],
        "merged_source_net_idx": [0, 0, 1],
        "merged_source_input_idx": [0, 1, 0],
        "merged_training_params_list": [content["training_params"]] * 2,
        "merged_checkpoint_info_list": [parts, parts],
    }
    torch.save({**content, **merged}, published.checkpoint)

    check(published, Oracle(network, published, {}), edges)
    provenance = load_model(published.checkpoint, device="cpu").provenance
    assert provenance["merged_checkpointfile_list"] == ["a.pt", "b.pt"]


def test_models_of_one_flavor(published: Any, edges: dict[str, np.ndarray]) -> None:
    """Trained onto given latents: one flavor, one path from it to itself."""
    network = published.write()
    content = torch.load(published.checkpoint, weights_only=False)
    weights = {k: v for k, v in content["state_dict"].items() if "_list.0." in k}
    single = {
        "state_dict": weights, "input_name_list": list(NAMES[:1]), "input_size_list": [6],
        "orig_input_size_list": [28], "trainpath_encoder_index_list": [0],
        "trainpath_decoder_index_list": [0],
    }  # fmt: skip
    torch.save({**content, **single}, published.checkpoint)
    model = load_model(published.checkpoint, device="cpu")

    answers = Oracle(network, published, {}).answer(edges)

    assert model.flavors == (parse_flavor(NAMES[0]),)
    latents = model.encode(model.flavors[0], edges[NAMES[0]])
    np.testing.assert_allclose(latents, answers[f"{NAMES[0]}->encoded"], atol=1e-5)
    expected = answers[f"{NAMES[0]}->{NAMES[0]}"]
    np.testing.assert_allclose(model.decode(model.flavors[0], latents), expected, atol=1e-4)


@pytest.mark.parametrize("changes", [{}, GROUPS])
@pytest.mark.parametrize("suffix", [".npz", ".mat", ".h5"])
def test_latents_that_were_written_are_decoded_again(
    published: Any, edges: dict[str, np.ndarray], changes: dict[str, Any], suffix: str
) -> None:
    """SOURCE->encoded of a file, as input, gives that file's predictions of each input flavor."""
    published.write(**changes)
    inputs, first = published.folder / "inputs.npz", published.folder / f"first{suffix}"
    np.savez(inputs, subjects=[f"s{i}" for i in range(12)], **edges)
    words = ["--input", inputs, "--adaptation-mode", "none", "--sources", *SOURCES]
    expected = run(published, published.folder / "all.npz", *words)
    run(published, first, *words)

    again = run(published, published.folder / "again.npz", "--input", f"encoded={first}")

    assert set(again) == set(expected)
    assert again["subjects"].tolist() == expected["subjects"].tolist()
    for key, values in expected.items():
        if key != "subjects" and not (changes and key.startswith("fusion")):
            np.testing.assert_array_equal(again[key], values)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".h5", ".tsv"])
def test_latents_by_themselves(published: Any, suffix: str) -> None:
    """A bare array [subjects, latent] is the source ``encoded``."""
    network = published.write()
    latents = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    path = published.folder / f"z{suffix}"
    if suffix == ".npy":
        np.save(path, latents)
    elif suffix == ".npz":
        np.savez(path, encoded=latents, subjects=list("abcd"))
    elif suffix == ".mat":
        from scipy.io import savemat

        savemat(path, {"latent": latents})
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["encoded"] = latents
    else:
        np.savetxt(path, latents, delimiter="\t")

    found = run(
        published, published.folder / "o.npz", "--input", f"encoded={path}", "--targets", "FCp*"
    )

    with torch.inference_mode():
        decoded = network.decoder_list[2](torch.from_numpy(latents)).numpy()
    expected = inverse(decoded, published.content[NAMES[2]])
    assert set(found) == {"encoded->encoded", f"encoded->{NAMES[2]}", "subjects"}
    np.testing.assert_allclose(found[f"encoded->{NAMES[2]}"], expected, atol=1e-4)
    labels = list("abcd") if suffix == ".npz" else ["1", "2", "3", "4"]
    assert found["subjects"].tolist() == labels


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--input", "encoded=absent.npz"], 3, "found no such file"),
        (["--input", "encoded=Z", "FCcorr_mini_hpf=Z"], 2, "by itself"),
        (["--input", "encoded=WIDE"], 4, "latents [n_subjects, 5]"),
        (["--input", "encoded=TEXT"], 3, "found"),
        (["--input", "encoded=Z", "--sources", "fusionSC"], 3, "sources among those of"),
        (["--input", "encoded=Z", "--adaptation-mode", "meanshift"], 2, "past it"),
        (["--input", "encoded=Z", "--exclude-self"], 2, "decoded as it is"),
    ],
)
def test_latents_that_cannot_be_decoded_are_refused(
    published: Any, words: list[str], code: int, message: str
) -> None:
    """With a message and its exit code."""
    published.write()
    places = {name: published.folder / f"{name}.npy" for name in ("Z", "WIDE")}
    np.save(places["Z"], np.zeros((2, 5)))
    np.save(places["WIDE"], np.zeros((2, 6)))
    places["TEXT"] = published.folder / "TEXT.npz"
    places["TEXT"].write_text("hello")
    said = words[:]
    for name, place in places.items():
        said = [word.replace(f"={name}", f"={place}") for word in said]
    every = ["--model", published.checkpoint, "--output", published.folder / "o.npz", *said]

    result = CliRunner().invoke(predict, [str(word) for word in every])

    assert result.exit_code == code, result.output
    assert message in " ".join(result.output.split())


def test_a_mat_file_holds_what_the_published_tools_hold(
    published: Any, edges: dict[str, np.ndarray]
) -> None:
    """predicted_alltypes.SOURCE.TARGET with subjects, readable by scipy alone."""
    network = published.write()
    inputs, output = published.folder / "inputs.npz", published.folder / "o.mat"
    np.savez(inputs, **edges)

    run(published, output, "--input", inputs, "--adaptation-mode", "none")

    found = loadmat(output, simplify_cells=True)["predicted_alltypes"]
    for key, values in Oracle(network, published, {}).answer(edges).items():
        source, target = key.split("->")
        if source.startswith("fusion"):
            np.testing.assert_allclose(
                found[source][target], values, atol=1e-5 * np.abs(values).max()
            )
