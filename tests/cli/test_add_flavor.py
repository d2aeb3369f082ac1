"""kraken-tools add-flavor: a new flavor onto a model's latents, from every layout of them."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from scipy.io import savemat

from kraken_bids.cli.commands.add_flavor import add_flavor
from kraken_bids.cli.tools import main
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.checkpoint import read_model, write_model
from kraken_bids.models.krakencoder.losses import PUBLISHED_LOSS
from kraken_bids.models.krakencoder.recipe import TrainingSettings
from kraken_bids.models.krakencoder.training import train_model
from kraken_bids.pipeline.added_flavors import N_EPOCHS, AdditionOptions

FC, SC, NEW = "FCcorr_mini_hpf", "SCx_mini_volnorm", "SCy_mini_count"
N_PEOPLE, N_EDGES, N_LATENT = 60, 66, 6
SUBJECTS = tuple(f"p{k:02d}" for k in range(N_PEOPLE))
SMALL = ("--batch-size", 20, "--dropout", 0.0, "--epochs", 150, "--learning-rate", 0.01)

Edges = dict[str, NDArray[np.float64]]


@pytest.fixture(scope="module")
def edges() -> Edges:
    """Edges that share six factors of each person."""
    rng = np.random.default_rng(0)
    person = rng.normal(size=(N_PEOPLE, N_LATENT))
    return {
        name: rng.uniform(0.2, 0.8, N_EDGES)
        + 0.03 * person @ rng.normal(size=(N_LATENT, N_EDGES))
        + 0.003 * rng.normal(size=(N_PEOPLE, N_EDGES))
        for name in (FC, SC, NEW)
    }


@pytest.fixture(scope="module")
def base(edges: Edges, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small model of the first two flavors, trained on the same people."""
    settings = TrainingSettings(
        transform="pca8", latent_size=N_LATENT, dropout=0.0, learning_rate=0.01, n_epochs=150,
        batch_size=20, device="cpu",
    )  # fmt: skip
    model = train_model(
        {parse_flavor(name): edges[name] for name in (FC, SC)}, settings=settings, name="base"
    )
    return write_model(model, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def latents(edges: Edges, base: Path) -> NDArray[np.float32]:
    """Fusion latents of everybody."""
    model = read_model(base, "cpu")
    return (model.encode(FC, edges[FC]) + model.encode(SC, edges[SC])) / 2


@pytest.fixture
def inputs(edges: Edges, tmp_path: Path) -> dict[str, str]:
    """Write connectomes by flavor, people named."""
    found = {}
    for name, rows in edges.items():
        np.savez(tmp_path / f"{name}.npz", data=rows, subjects=np.array(SUBJECTS))
        found[name] = f"{name}={tmp_path / name}.npz"
    return found


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_defaults_are_those_of_the_settings() -> None:
    """The published recipe of target encoding stands in one place; the help repeats it."""
    words = ["--model", "m", "--input", "x", "--output", "y"]
    given = add_flavor.make_context("add-flavor", words).params
    options = AdditionOptions()

    assert given["n_epochs"] == N_EPOCHS == 500
    assert PUBLISHED_LOSS.startswith(given["loss"])
    for name in set(given) & set(vars(options)) - {"atlases"}:
        assert given[name] == (getattr(options, name) or given[name]), name
    for name in set(given) & set(vars(options.settings)) - {"loss", "transform"}:
        assert given[name] == getattr(options.settings, name), name


LOOSE = "correye+enceye.w10+neidist+encdist.w10+mse.w1+encmse.w1000"
"""Scores of few people and components are large: published weights would drown the latents."""


@pytest.mark.parametrize("variant", [("--loss", LOOSE), ("--fixed",)])
def test_a_new_flavor_is_predicted_from_the_old_ones(
    base: Path, edges: Edges, inputs: dict[str, str], tmp_path: Path, variant: tuple[str, ...]
) -> None:
    """Latents are computed from the others; merged, each flavor predicts the new one."""
    output = tmp_path / "new"

    done = run(
        "add-flavor",
        "--model",
        base,
        "--input",
        *inputs.values(),
        *SMALL,
        *variant,
        "--output",
        output,
    )

    assert done.exit_code == 0, done.output
    assert f"{NEW}: 6 people held out" in done.output
    assert "(chance 0.583)" in done.output  # of six people
    told = run("describe", output).output
    assert "trained on 54 subjects onto latents of" in told
    assert done.output.splitlines()[-2] in told
    added = read_model(output, "cpu")
    assert [flavor.name for flavor in added.flavors] == [NEW]
    assert added.provenance["LatentSpace"] == read_model(base, "cpu").sha256
    done = run("merge", base, output, "--output", tmp_path / "both")
    assert done.exit_code == 0, done.output
    merged = read_model(tmp_path / "both", "cpu")
    predicted = merged.predict({FC: edges[FC]}, source=FC, targets=NEW)[parse_flavor(NEW)]
    observed = edges[NEW] - edges[NEW].mean(axis=0)
    found = predicted - predicted.mean(axis=0)
    cosine = (observed * found).sum(axis=1)
    cosine /= np.linalg.norm(observed, axis=1) * np.linalg.norm(found, axis=1)
    assert cosine.mean() > 0.7


def test_merge_in_one_go_is_merging_afterwards(
    base: Path, inputs: dict[str, str], tmp_path: Path
) -> None:
    """The same weights; and the same seed gives the same bytes."""
    words = (
        "add-flavor",
        "--model",
        base,
        "--input",
        *inputs.values(),
        *SMALL[:-4],
        "--epochs",
        3,
    )
    for name, more in (("one", ()), ("same", ()), ("both", ("--merge",))):
        done = run(*words, *more, "--output", tmp_path / name)
        assert done.exit_code == 0, done.output
    run("merge", base, tmp_path / "one", "--output", tmp_path / "later")

    files = [tmp_path / name / "weights.safetensors" for name in ("one", "same")]
    assert files[0].read_bytes() == files[1].read_bytes()
    both, later = (read_model(tmp_path / name, "cpu") for name in ("both", "later"))
    assert both.flavors == later.flavors
    for name, values in both.network.arrays.items():
        np.testing.assert_array_equal(values, later.network.arrays[name])


def write_latents(folder: Path, kind: str, rows: NDArray[np.float32]) -> Path:
    """Write latents in one of the layouts, people in another order and spelling."""
    order = np.random.default_rng(1).permutation(N_PEOPLE)
    names = [f"sub-{SUBJECTS[k]}" for k in order]
    path = folder / f"latents.{kind}"
    if kind == "mat":  # as published: kraken_target_*_encoded.mat
        nested = {"fusion": {"encoded": rows[order]}, "fusionFC": {"encoded": -rows[order]}}
        savemat(path, {"predicted_alltypes": nested, "subjects": np.array(names)})
    elif kind == "npz":
        np.savez(path, encoded=rows[order], subjects=np.array(names))
    else:
        header = ["participant_id", "source", *(f"z{k:03d}" for k in range(rows.shape[1]))]
        lines = [
            "\t".join([name, "fusion", *(f"{value:.9g}" for value in rows[k])])
            for name, k in zip(names, order, strict=True)
        ]
        path.write_text("\n".join(["\t".join(header), *lines]) + "\n")
    return path


@pytest.mark.parametrize("kind", ["mat", "npz", "tsv"])
def test_latents_come_from_every_layout_matched_by_name(
    base: Path, latents: NDArray[np.float32], inputs: dict[str, str], tmp_path: Path, kind: str
) -> None:
    """People in another order: the same model as with latents computed from the others."""
    file = write_latents(tmp_path, kind, latents)
    few = (*SMALL[:-4], "--epochs", 20, "--seed", 3)
    words = ("--latents", file, *few, "--output", tmp_path / kind)

    done = run("add-flavor", "--model", base, "--input", inputs[NEW], *words)

    assert done.exit_code == 0, done.output
    words = ("--adaptation-mode", "none", *few, "--output", tmp_path / "computed")
    done = run("add-flavor", "--model", base, "--input", *inputs.values(), *words)
    assert done.exit_code == 0, done.output
    one, other = (read_model(tmp_path / name, "cpu").network.arrays for name in (kind, "computed"))
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], atol=1e-4)


def test_people_without_latents_are_left_out(
    base: Path, latents: NDArray[np.float32], inputs: dict[str, str], tmp_path: Path
) -> None:
    """They neither train nor count in the transform, and that is said."""
    np.savez(tmp_path / "l.npz", encoded=latents[:40], subjects=np.array(SUBJECTS[:40]))
    words = (
        "--latents",
        tmp_path / "l.npz",
        *SMALL[:-4],
        "--epochs",
        2,
        "--output",
        tmp_path / "m",
    )

    done = run("add-flavor", "--model", base, "--input", inputs[NEW], *words)

    assert done.exit_code == 0, done.output
    assert read_model(tmp_path / "m", "cpu").provenance["NumberOfSubjects"] == 36


def test_what_cannot_be_done_is_said(
    base: Path, latents: NDArray[np.float32], inputs: dict[str, str], tmp_path: Path
) -> None:
    """Expected, found, where, what to do; nothing is written."""
    names = np.array(SUBJECTS)
    files = {
        "good": {"encoded": latents, "subjects": names},
        "others": {"encoded": latents, "subjects": np.char.add("q", names)},
        "wide": {"encoded": np.hstack([latents, latents]), "subjects": names},
        "twice": {"encoded": latents, "subjects": np.array(["p00", *SUBJECTS[:-1]])},
        "several": {"a->encoded": latents, "b->encoded": latents, "subjects": names},
    }
    for name, arrays in files.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    np.savez(tmp_path / "larger.npz", data=np.full((60, 78), 0.5), subjects=names)
    cases = [
        ([inputs[FC]], "good", 3, "a flavor that base lacks; found FCcorr_mini_hpf, which it has"),
        ([inputs[NEW]], "", 2, "expected --latents FILE, or --input of the same people's"),
        ([inputs[NEW], inputs[FC]], "good", 2, "either --latents, or --input"),
        ([inputs[NEW]], "others", 3, "found nobody in common"),
        ([inputs[NEW]], "wide", 4, "expected latents [n_subjects, 6]"),
        ([inputs[NEW]], "twice", 3, "found p00 more than once"),
        ([inputs[NEW]], "several", 3, "--latents-source"),
        ([inputs[NEW]], "absent", 3, "found no"),
        ([f"SCz_mini_count={tmp_path / 'larger.npz'}"], "good", 3, "another atlas, name it"),
    ]
    for given, file, code, said in cases:
        words = ["--latents", tmp_path / f"{file}.npz"] if file else []
        output = tmp_path / "out"

        done = run(
            "add-flavor", "--model", base, "--input", *given, *words, *SMALL, "--output", output
        )

        assert done.exit_code == code, (file, done.output)
        assert said in done.output, done.output
        assert not output.exists()


def test_too_few_people_are_told_what_fits(
    base: Path, inputs: dict[str, str], tmp_path: Path
) -> None:
    """A batch of 41 and 54 people who train is fine; of 60 it is not."""
    words = ("--batch-size", 60, "--output", tmp_path / "m")

    done = run("add-flavor", "--model", base, "--input", *inputs.values(), *words)

    assert done.exit_code == 4
    assert "--batch-size 54" in done.output
