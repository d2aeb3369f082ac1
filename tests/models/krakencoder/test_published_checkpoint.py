"""Published checkpoints and transforms become models; what is missing is named."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.published_checkpoint import read_upstream
from kraken_bids.models.krakencoder.published_transforms import read_transforms


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_with_its_transforms_becomes_a_model(published: Any, legacy: bool) -> None:
    """Latents and predictions are those of the published network and formulas."""
    oracle = published.write(legacy=legacy)
    model = read_upstream(published.checkpoint, [published.transforms], "cpu")
    flavor, target = model.flavors[0], model.flavors[2]
    a, b = published.content[flavor.name], published.content[target.name]
    x = np.random.default_rng(0).normal(size=(4, 28))
    reduced = (
        a["output_normscale"]
        * ((x - a["pca_input_mean"]) @ a["pca_components"].T)
        / a["input_normscale"]
    )
    with torch.inference_mode():
        z = oracle.encoder_list[0](torch.tensor(reduced, dtype=torch.float32))
        y = oracle.decoder_list[2](z).numpy()
    expected = (y / b["output_normscale"] * b["input_normscale"]) @ b["pca_components"] + b[
        "pca_input_mean"
    ]

    np.testing.assert_allclose(model.encode(flavor, x), z, atol=1e-5)
    np.testing.assert_allclose(model.decode(target, z.numpy()), expected, atol=1e-5)
    assert model.provenance["epoch"] == 3
    assert len(model.sha256) == 64


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_transforms_read_alike_from_every_format(published: Any, suffix: str) -> None:
    """npy, npz and HDF5 give the same statistics."""
    published.write()
    path = published.folder / f"kraken_ioxfm_x{suffix}"
    if suffix == ".npz":
        np.savez(
            path, transform_params=np.array(published.content, dtype=object), allow_pickle=True
        )
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, parameters in published.content.items():
                group = file.create_group(name)
                for key, value in parameters.items():
                    group[key] = value.astype("S") if key == "train_subjects" else value
    else:
        published.transforms.rename(path)

    reductions = read_transforms(path)

    for name, parameters in published.content.items():
        found = reductions[parse_flavor(name)]
        assert (found.kind, found.n_edges) == ("pca", parameters["input_dimension"])
        np.testing.assert_array_equal(found.arrays["pca_components"], parameters["pca_components"])


def test_transforms_beside_a_checkpoint_are_found_if_they_fit(published: Any) -> None:
    """Files of another dimension lying there too do not disturb, and are not said to be used."""
    published.write()
    other = {
        name: {
            "type": "cfeat",
            "input_mean": p["pca_input_mean"][None],
            "input_dimension": p["input_dimension"],
        }
        for name, p in published.content.items()
    }
    for name in ("a_cfeat", "z_cfeat"):
        np.save(
            published.folder / f"kraken_ioxfm_{name}.npy",
            np.array(other, dtype=object),
            allow_pickle=True,
        )

    model = read_upstream(published.checkpoint, device="cpu")

    assert {r.kind for r in model.reductions.values()} == {"pca"}
    assert model.provenance["Transforms"] == [published.transforms.name]


def test_transforms_that_were_given_and_not_needed_are_not_named(published: Any) -> None:
    """Provenance lists the files that flavors were taken from, in the order given."""
    published.write()
    folder, names = published.folder, list(published.content)
    for name, kept in (("one", names[:1]), ("two", names[:1]), ("rest", names)):
        some = {key: published.content[key] for key in kept}
        np.save(folder / f"{name}.npy", np.array(some, dtype=object), allow_pickle=True)
    given = [folder / f"{name}.npy" for name in ("one", "two", "rest")]

    model = read_upstream(published.checkpoint, [*given, published.transforms], "cpu")

    assert model.provenance["Transforms"] == ["one.npy", "rest.npy"]


def test_missing_transforms_are_named_with_the_way_out(published: Any) -> None:
    """Without transforms, and with some of them, the message lists the flavors and the option."""
    published.write()
    some = {"FCcorr_mini_hpf": published.content["FCcorr_mini_hpf"]}
    np.save(published.transforms, np.array(some, dtype=object), allow_pickle=True)
    with pytest.raises(
        CheckpointError, match=r"for SCifod2act_mini_volnorm, FCpcorr_other_hpf\. .*--transforms"
    ):
        read_upstream(published.checkpoint, [published.transforms], "cpu")
    published.transforms.unlink()

    with pytest.raises(CheckpointError, match="beside it in"):
        read_upstream(published.checkpoint, device="cpu")
    with pytest.raises(CheckpointError, match="found no"):
        read_upstream(published.checkpoint, [published.transforms], "cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latentsize": None}, "cannot be used"),
        ({"input_name_list": ["nonsense"]}, "cannot be used"),
        ({"latentsize": 4}, r"expected encoder_list.0.0.weight of shape \[4, 6\]"),
        ({"hiddenlayers": [3]}, "expected 2 linear layers"),
        ({"latent_activation": "swish"}, "swish"),
        ({"dropout": "much"}, "cannot be used"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    published: Any, changes: dict[str, Any], message: str
) -> None:
    """Weights and description must agree."""
    published.write()
    content = torch.load(published.checkpoint, weights_only=False)
    torch.save({**content, **changes}, published.checkpoint)

    with pytest.raises(CheckpointError, match=message):
        read_upstream(published.checkpoint, device="cpu")


@pytest.mark.parametrize("key", ["state_dict", "input_size_list", "latentsize", "input_name_list"])
def test_a_checkpoint_that_lacks_a_key_is_refused(published: Any, key: str) -> None:
    """The key is named."""
    published.write()
    content = torch.load(published.checkpoint, weights_only=False)
    del content[key]
    torch.save(content, published.checkpoint)

    with pytest.raises(CheckpointError, match=f"lacks {key}"):
        read_upstream(published.checkpoint, device="cpu")


def test_another_programs_checkpoint_is_refused(tmp_path: Path) -> None:
    """A list of tensors is a torch file, but no Krakencoder."""
    torch.save([torch.zeros(2)], tmp_path / "x.pt")

    with pytest.raises(CheckpointError, match="another program"):
        read_upstream(tmp_path / "x.pt", device="cpu")


def test_superfluous_weights_are_refused(published: Any) -> None:
    """Weights that the description does not mention show that it is of another network."""
    published.write()
    content = torch.load(published.checkpoint, weights_only=False)
    content["state_dict"]["extra.weight"] = torch.zeros(2)
    torch.save(content, published.checkpoint)

    with pytest.raises(CheckpointError, match=r"extra\.weight"):
        read_upstream(published.checkpoint, device="cpu")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"FCcorr_fs86_hpf": {"type": "pca"}}, "lacks pca_components"),
        ({"FCcorr_mini_hpf": {"type": "ica", "input_dimension": 28}}, "found 'ica'"),
        ({"FCcorr_mini_hpf": 3}, "by flavor"),
        ([1, 2], "by flavor"),
    ],
)
def test_broken_transforms_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    """Missing statistics, unknown types and other contents are CheckpointErrors."""
    array = np.empty((), dtype=object)
    array[()] = content
    np.save(tmp_path / "t.npy", array, allow_pickle=True)

    with pytest.raises(CheckpointError, match=message):
        read_transforms(tmp_path / "t.npy")


def test_hdf5_that_is_none_is_refused(tmp_path: Path) -> None:
    """A text file named .h5 is said to be another kind."""
    (tmp_path / "t.h5").write_text("no")

    with pytest.raises(CheckpointError, match="another kind"):
        read_transforms(tmp_path / "t.h5")


@pytest.mark.parametrize(
    ("parameters", "number"),
    [
        ({"numsubjects_train": 12, "subjidx_train": np.arange(3)}, 12),
        ({"subjidx_train": np.arange(7)}, 7),
        ({"numsubjects_train": "many"}, None),
        ({"numsubjects_train": -1}, None),
        ("none", None),
        (None, None),
    ],
)
def test_training_subjects_are_counted_where_the_file_says(
    published: Any, parameters: Any, number: int | None
) -> None:
    """They give distances their unit; other things in that place are passed over."""
    published.write(training_params=parameters)
    model = read_upstream(published.checkpoint, [published.transforms], "cpu")
    assert model.provenance.get("NumberOfSubjects") == number
