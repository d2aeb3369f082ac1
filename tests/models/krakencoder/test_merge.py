"""Merged models do for each flavor what the model does that it comes from."""

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

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.checkpoint import read_model, write_model
from kraken_bids.models.krakencoder.latent_space import LATENT_SPACE, OWN, check_one_space
from kraken_bids.models.krakencoder.merge import merge_models
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.published_checkpoint import read_upstream
from kraken_bids.models.krakencoder.published_writer import write_upstream

REFERENCE = os.environ.get("KRAKENCODER_REFERENCE", "")
MERGE = """
import sys
import torch
from krakencoder.merge import merge_model_files

*parts, output = sys.argv[1:]
network, info = merge_model_files(parts)
torch.save({"weights": network.state_dict(), "names": info["input_name_list"]}, output)
"""


@pytest.fixture
def make_part(make_model: Callable[..., Model]) -> Callable[..., Model]:
    """Make models of one flavor with weights of their own, as added to a latent space later."""

    def make(flavor: str, name: str = "part", **changes: Any) -> Model:
        whole = make_model()
        parsed = parse_flavor(flavor)
        architecture = replace(
            whole.network.architecture, flavors=(flavor,), input_sizes=(6,), **changes
        )
        torch.manual_seed(len(flavor))
        return Model(
            name=name,
            sha256=name * 2,
            flavors=(parsed,),
            latent_size=whole.latent_size,
            network=Network(architecture).freeze(),
            reductions={parsed: whole.reductions[whole.flavors[2]]},
        )

    return make


def test_each_flavor_is_encoded_and_decoded_as_by_its_own_model(
    make_model: Callable[..., Model], make_part: Callable[..., Model], rng: np.random.Generator
) -> None:
    """Latents and predictions of every part, and of paths between parts, to the last bit."""
    parts = [make_model(), make_part("SCcount_other_x"), make_part("SCsift_other_y")]

    merged = merge_models(parts)

    flavors = [(flavor, part) for part in parts for flavor in part.flavors]
    assert merged.flavors == tuple(flavor for flavor, _ in flavors)
    for flavor, part in flavors:
        x = rng.normal(size=(3, part.n_edges(flavor)))
        latents = part.encode(flavor, x)
        np.testing.assert_array_equal(merged.encode(flavor, x), latents)
        for target, owner in flavors:
            np.testing.assert_array_equal(
                merged.decode(target, latents), owner.decode(target, latents)
            )


def test_the_first_model_that_has_a_flavor_gives_it(
    make_model: Callable[..., Model],
    make_part: Callable[..., Model],
    rng: np.random.Generator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A flavor that comes again is not taken, and that is said."""
    first, again = make_model(), make_part("FCcorr_mini_hpf", name="again")
    x = rng.normal(size=(3, 28))

    merged = merge_models([first, again, make_part("SCcount_other_x")])

    assert len(merged.flavors) == 4
    np.testing.assert_array_equal(
        merged.encode(first.flavors[0], x), first.encode(first.flavors[0], x)
    )
    assert "again: already there, not taken: FCcorr_mini_hpf" in caplog.text


def test_the_origin_of_each_flavor_is_kept(
    make_model: Callable[..., Model], make_part: Callable[..., Model], tmp_path: Path
) -> None:
    """By name and SHA-256 for us, by file and index for the reference release; both ways."""
    merged = merge_models([make_model(), make_part("SCcount_other_x", name="late")], "both")
    folder = read_model(write_model(merged, tmp_path / "both"), "cpu")

    found = read_upstream(write_upstream(folder, tmp_path / "both.pt")[0], device="cpu")

    assert folder.name == "both"
    assert len(folder.sha256) == 64
    origins = found.provenance["MergedFrom"]
    assert [(o["Name"], o["SHA256"], len(o["Flavors"])) for o in origins] == [
        ("tiny", "abc", 3),
        ("late", "latelate", 1),
    ]
    assert found.provenance["merged_checkpointfile_list"] == ["tiny", "late"]
    assert found.provenance["merged_source_net_idx"] == [0, 0, 0, 1]
    assert found.provenance["merged_source_input_idx"] == [0, 1, 2, 0]


def test_a_last_dropout_of_one_part_is_kept(
    make_model: Callable[..., Model], make_part: Callable[..., Model]
) -> None:
    """The others keep theirs, which matters when the merged model is trained on."""
    merged = merge_models(
        [make_model(dropout=0.5), make_part("SCcount_other_x", final_dropouts=(0.1,))]
    )

    assert merged.network.architecture.final_dropouts == (0.5, 0.5, 0.5, 0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_normalize": False}, "scaling of latents to unit length True in tiny and False"),
        ({"hidden_sizes": (7,)}, r"hidden layers none in tiny and \[7\] in part"),
        ({"latent_activation": "tanh"}, "latent activation none in tiny and tanh in part"),
    ],
)
def test_models_of_other_latent_spaces_are_refused(
    make_model: Callable[..., Model],
    make_part: Callable[..., Model],
    changes: dict[str, Any],
    message: str,
) -> None:
    """What differs is named with both values."""
    with pytest.raises(CheckpointError, match=message):
        merge_models([make_model(), make_part("SCcount_other_x", **changes)])


def test_another_latent_size_is_refused(make_model: Callable[..., Model]) -> None:
    """The commonest mistake."""
    one = make_model()
    wide = Network(replace(one.network.architecture, latent_size=9)).freeze()

    with pytest.raises(CheckpointError, match="latent size 5 in tiny and 9 in tiny"):
        merge_models([one, replace(one, latent_size=9, network=wide)])


def test_models_that_translate_between_groups_are_refused(
    make_model: Callable[..., Model], make_part: Callable[..., Model]
) -> None:
    """Their translations are fitted to their own flavors."""
    grouped = make_model(groups=("fc", "sc", "fc"), group_paths=("fc->sc", "sc->fc"))

    with pytest.raises(CheckpointError, match="translates latents between groups"):
        merge_models([grouped, make_part("SCcount_other_x")])
    with pytest.raises(CheckpointError, match="at least two models"):
        merge_models([grouped])


def test_one_latent_space_is_what_others_can_be_brought_to(
    make_model: Callable[..., Model],
) -> None:
    """Fine-tuning and adding flavors refuse models that translate, and say what to do instead."""
    grouped = make_model(groups=("fc", "sc", "fc"), group_paths=("fc->sc", "sc->fc"))

    check_one_space(make_model(), "Add to")
    with pytest.raises(CheckpointError, match=r"Add to one without such translations\.$"):
        check_one_space(grouped, "Add to")


@pytest.mark.skipif(
    not REFERENCE, reason="KRAKENCODER_REFERENCE names no checkout of the reference release"
)
def test_the_reference_release_merges_to_the_same_weights(
    make_model: Callable[..., Model], make_part: Callable[..., Model], tmp_path: Path
) -> None:
    """Its own merging of the parts that we wrote: the same flavors, names and numbers."""
    parts = [
        make_model(dropout=0.5),
        make_part("SCcount_other_x", dropout=0.5),
        make_part("FCcorr_mini_hpf", dropout=0.5),
    ]
    written = [write_upstream(part, tmp_path / f"{i}.pt")[0] for i, part in enumerate(parts)]
    words = ["-c", MERGE, *map(str, written), str(tmp_path / "theirs.pt")]

    subprocess.run([sys.executable, *words], cwd=REFERENCE, capture_output=True, check=True)

    theirs = torch.load(tmp_path / "theirs.pt", weights_only=True)
    checkpoint, _ = write_upstream(merge_models(parts), tmp_path / "ours.pt")
    ours = torch.load(checkpoint, weights_only=True)
    assert ours["input_name_list"] == theirs["names"]
    assert list(ours["state_dict"]) == list(theirs["weights"])
    for name, values in theirs["weights"].items():
        assert torch.equal(ours["state_dict"][name], values)


def test_latent_spaces_that_are_known_to_differ_are_refused(
    make_model: Callable[..., Model], make_part: Callable[..., Model]
) -> None:
    """Own spaces, and flavors added to another model; those added to this one are taken."""
    first, part = make_model(), make_part("SCcount_other_x")
    own = replace(part, sha256="p", provenance={LATENT_SPACE: OWN})
    added, other = (
        replace(part, sha256="q", provenance={LATENT_SPACE: sha256}) for sha256 in ("abc", "zzz")
    )

    for wrong in (own, other):
        with pytest.raises(CheckpointError, match="a mean of their latents means nothing"):
            merge_models([first, wrong])
    with pytest.raises(CheckpointError, match="a latent space of its own"):
        merge_models([replace(first, provenance={LATENT_SPACE: OWN}), part])
    merged = merge_models([first, added])
    assert merged.provenance[LATENT_SPACE] == "abc"
    again = replace(make_part("SCcount_third_x"), provenance={LATENT_SPACE: "abc"})
    assert len(merge_models([replace(merged, sha256="m"), again]).flavors) == 5


def test_one_atlas_of_two_tables_is_refused(
    make_model: Callable[..., Model], make_part: Callable[..., Model]
) -> None:
    """Another number of edges, or another region in the same place."""
    first = replace(make_model(), provenance={"Regions": {"other": [f"r{k}" for k in range(10)]}})
    names = [f"r{k}" for k in (0, 1, 3, 2, 4, 5, 6, 7, 8, 9)]
    turned = replace(make_part("SCcount_other_x"), provenance={"Regions": {"other": names}})

    with pytest.raises(CheckpointError, match="found region r2 in tiny where "):
        merge_models([first, turned])
    with pytest.raises(CheckpointError, match="matrices of 28 edges in tiny and of 45"):
        merge_models([first, make_part("SCcount_mini_x")])
    same = replace(turned, provenance=first.provenance)
    assert merge_models([first, same]).provenance["Regions"] == first.provenance["Regions"]
