"""kraken-tools convert, describe and merge on models in both formats."""

import json
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from kraken_bids.cli.tools import main
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.digests import compute_sha256
from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.published_writer import write_upstream
from kraken_bids.models.krakencoder.reduction import fit_reduction
from kraken_bids.parcellations import load_parcellation

FC, SC = "FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"


def make_model(*names: str, latent_size: int = 3) -> Model:
    torch.manual_seed(0)
    rng = np.random.default_rng(len(names[0]))
    flavors = tuple(parse_flavor(name) for name in names)
    return Model(
        name="x",
        sha256="",
        flavors=flavors,
        latent_size=latent_size,
        network=Network(Architecture(names, (4,) * len(names), latent_size, dropout=0.5)).freeze(),
        reductions={f: fit_reduction(rng.normal(size=(9, 3655)) + 1, "pca4") for f in flavors},
    )


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Write a published checkpoint of two flavors, its transforms beside it."""
    return write_upstream(make_model(FC, SC), tmp_path / "in" / "kraken_chkpt_a.pt")[0]


APART: dict[str, Any] = (
    {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
)
"""For click before 8.2, whose runner puts both outputs into one."""


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_convert_goes_there_and_back(checkpoint: Path, tmp_path: Path) -> None:
    """Published, ours, published: the same predictions, and the hashes of what it came from."""
    there = run("convert", checkpoint, "--output", tmp_path / "ours")
    back = run("convert", tmp_path / "ours", "--output", tmp_path / "back" / "kraken_chkpt_b.pt")
    assert (there.exit_code, back.exit_code) == (0, 0), there.output + back.output

    models = [
        load_model(path, device="cpu")
        for path in (checkpoint, tmp_path / "ours", tmp_path / "back" / "kraken_chkpt_b.pt")
    ]

    latents = np.random.default_rng(1).normal(size=(2, 3))
    for flavor in models[0].flavors:
        for model in models[1:]:
            np.testing.assert_array_equal(
                model.decode(flavor, latents), models[0].decode(flavor, latents)
            )
    files = models[2].provenance["Files"]
    assert files[checkpoint.name] == compute_sha256(checkpoint)
    assert files["kraken_ioxfm_a.npy"] == compute_sha256(
        checkpoint.with_name("kraken_ioxfm_a.npy")
    )
    assert files["weights.safetensors"] == compute_sha256(tmp_path / "ours/weights.safetensors")


def test_the_folder_explains_itself(checkpoint: Path, tmp_path: Path) -> None:
    """model.json holds layers, flavors, regions in their order, origin and hashes."""
    run("convert", checkpoint, "--output", tmp_path / "ours")

    content = json.loads((tmp_path / "ours" / "model.json").read_text())

    assert content["architecture"]["flavors"] == [FC, SC]
    assert content["regions"] == {"fs86": list(load_parcellation("fs86").region_names)}
    assert content["transforms"][SC]["n_edges"] == 3655
    assert content["provenance"]["Files"][checkpoint.name] == content["sha256"]
    assert content["weights_sha256"] == compute_sha256(tmp_path / "ours/weights.safetensors")


def test_merge_joins_files_of_both_formats(checkpoint: Path, tmp_path: Path) -> None:
    """A published model and a folder become one model with the flavors of both."""
    late = write_upstream(make_model("SCifod2act_fs86_count"), tmp_path / "late" / "l.pt")[0]
    run("convert", late, "--output", tmp_path / "late_folder")

    for output in ("both", "both.pt"):
        result = run("merge", checkpoint, tmp_path / "late_folder", "--output", tmp_path / output)

        assert result.exit_code == 0, result.output
        assert "3 flavors: " in result.output
        merged, part = load_model(tmp_path / output), load_model(late)
        latents = np.random.default_rng(1).normal(size=(2, 3))
        np.testing.assert_array_equal(
            merged.decode(part.flavors[0], latents), part.decode(part.flavors[0], latents)
        )


def test_describe_says_what_is_inside(checkpoint: Path) -> None:
    """For people a table; for machines the same facts as JSON on stdout."""
    (checkpoint.parent / "kraken_ioxfm_of_another_model.npy").write_bytes(b"not read")
    runner = CliRunner(**APART)
    people, machines = (
        runner.invoke(main, ["describe", str(checkpoint), *words]) for words in ([], ["--json"])
    )
    assert (people.exit_code, machines.exit_code) == (0, 0), people.output

    found = json.loads(machines.stdout)

    assert found["sha256"] == compute_sha256(checkpoint)
    assert found["files"][checkpoint.name] == found["sha256"]
    assert set(found["files"]) == {checkpoint.name, "kraken_ioxfm_a.npy"}
    assert found["n_parameters"] == 2 * (4 * 3 + 3 + 3 * 4 + 4)
    row = found["flavors"][1]
    mean = load_model(checkpoint).training_means()[parse_flavor(SC)]
    assert row.pop("training_mean") == {
        "mean": pytest.approx(mean.mean(), rel=1e-5),
        "sd": pytest.approx(mean.std(), rel=1e-4),
    }
    assert row == {
        "flavor": SC, "group": "SC", "parcellation": "fs86", "n_regions": 86, "n_edges": 3655,
        "transform": "pca", "n_values": 4,
    }  # fmt: skip
    for word in (FC, SC, "3655", "86", "pca", found["sha256"], "2 flavors", "latent of 3 values"):
        assert word in people.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["convert", "IN", "--output", "IN"], 2, "elsewhere than the model that is read"),
        (["convert", "absent", "--output", "o"], 5, "found nothing at absent"),
        (["convert", "IN", "--transforms", "absent.npy", "--output", "OUT"], 5, "absent.npy"),
        (["convert", "IN", "--output", "TEXT"], 2, "which is a file"),
        (["convert", "IN", "--output", "FOLDER.pt"], 2, "which is a folder"),
        (["merge", "IN", "--output", "OUT"], 2, "two models or more"),
        (["merge", "IN", "WIDE", "--output", "OUT"], 5, "latent size 3 in"),
        (["describe", "TEXT"], 5, "another kind of file"),
    ],
)
def test_what_cannot_be_done_is_said(
    checkpoint: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    """Exit codes 2 and 5 with a message, no traceback, nothing written."""
    places = {name: tmp_path / name for name in ("OUT", "TEXT", "FOLDER.pt")} | {"IN": checkpoint}
    places["TEXT"].write_text("hello")
    places["FOLDER.pt"].mkdir()
    wide = make_model("SCifod2act_fs86_count", latent_size=5)
    places["WIDE"] = write_upstream(wide, tmp_path / "wide" / "w.pt")[0]

    result = run(*(places.get(word, word) for word in words))

    assert result.exit_code == code, result.output
    assert message in " ".join(result.output.split())
    assert not places["OUT"].exists()
