"""kraken-tools predict on a tiny model in the published format."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from scipy.io import loadmat
from torch import nn

from kraken_bids.cli.commands.predict import predict
from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.from_dataset import list_members, read_cohort
from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.cohort.projections import Cohort
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.tables import read_relmat
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.fusion import fuse
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.reduction import fit_pca
from kraken_bids.models.krakencoder.saved_adaptation import read_adaptation, write_adaptation
from kraken_bids.pipeline.file_predictions import encode_files, keep_known
from kraken_bids.pipeline.predict.choice_of_adaptation import fit_cohort_adaptation

NAMES = (
    "FCcorr_fs86_hpf",
    "FCpcorr_fs86_hpf",
    "SCifod2act_fs86_volnorm",
    "SCsdstream_mini_volnorm",
)
EDGES = (3655, 3655, 3655, 28)
FLAVORS = tuple(parse_flavor(name) for name in NAMES)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint and transforms as published, written by torch.save and numpy."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    modules = nn.Module()
    modules.encoder_list = nn.ModuleList(nn.Sequential(nn.Linear(4, 3)) for _ in NAMES)
    modules.decoder_list = nn.ModuleList(nn.Sequential(nn.Linear(3, 4)) for _ in NAMES)
    content = {
        "state_dict": modules.state_dict(),
        "input_name_list": list(NAMES),
        "input_size_list": [4] * len(NAMES),
        "latentsize": 3,
        "latent_normalize": True,
        "dropout": 0,
        "input_transformation_info": "pc4",
        "epoch": np.int64(1),
    }
    torch.save(content, folder / "kraken_chkpt_x.pt")
    transforms = {
        name: {**fit_pca(rng.normal(size=(9, n)) + rng.normal(size=n), 4).arrays, "type": "pca"}
        for name, n in zip(NAMES, EDGES, strict=True)
    }
    np.save(
        folder / "kraken_ioxfm_x_pc4_9train.npy",
        np.array(transforms, dtype=object),
        allow_pickle=True,
    )
    return folder / "kraken_chkpt_x.pt"


@pytest.fixture(scope="module")
def edges() -> dict[Flavor, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        flavor: (rng.normal(size=(12, n)) + 2 * rng.normal(size=n)).astype(np.float32)
        for flavor, n in zip(FLAVORS[:3], EDGES[:3], strict=True)
    }


@pytest.fixture
def inputs(tmp_path: Path, edges: dict[Flavor, np.ndarray]) -> Path:
    path = tmp_path / "inputs.npz"
    np.savez(path, subjects=np.arange(12), **{f.name: x for f, x in edges.items()})
    return path


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def run(checkpoint: Path, output: Path, *words: Any) -> Result:
    every = ["--model", checkpoint, "--output", output, "--device", "cpu", *words]
    return CliRunner().invoke(predict, [str(word) for word in every])


def test_every_key_is_encode_fuse_decode(
    checkpoint: Path, inputs: Path, edges: dict[Flavor, np.ndarray], tmp_path: Path
) -> None:
    """By default: three fusions to every flavor of the model, and every latent."""
    result = run(checkpoint, tmp_path / "o.npz", "--input", inputs, "--adaptation-mode", "none")
    assert result.exit_code == 0, result.output
    model = load_model(checkpoint, device="cpu")
    latents = {flavor: model.encode(flavor, x) for flavor, x in edges.items()}

    out = read(tmp_path / "o.npz")

    sources = ("fusion", "fusionSC", "fusionFC")
    keys = {f"{s}->{t}" for s in sources for t in (*NAMES, "encoded")}
    assert set(out) == keys | {f"{f}->encoded" for f in edges} | {"subjects"}
    for source in sources:
        fused = fuse(latents, source)
        np.testing.assert_array_equal(out[f"{source}->encoded"], fused)
        for flavor in FLAVORS:
            np.testing.assert_array_equal(out[f"{source}->{flavor}"], model.decode(flavor, fused))


def test_sources_targets_and_variants(
    checkpoint: Path, inputs: Path, edges: dict[Flavor, np.ndarray], tmp_path: Path
) -> None:
    """Own fusions, each, target patterns, fusions without self or atlas; _ counts as -."""
    result = run(
        checkpoint, tmp_path / "o.npz", "--input", inputs, "--sources", "each", "fusion",
        "--fusion", "corr=FCcorr*,SC*", "--targets", "FC*", "SCsdstream_mini_volnorm",
        "--exclude_self", "--exclude_atlas", "--adaptation_mode", "none",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    model = load_model(checkpoint, device="cpu")
    latents = {flavor: model.encode(flavor, x) for flavor, x in edges.items()}

    out = read(tmp_path / "o.npz")

    assert {key.split("->")[0] for key in out} == {
        "subjects", *(f.name for f in edges),
        *(f"{s}{v}" for s in ("fusion", "corr") for v in ("", ".noself", ".noatlas")),
    }  # fmt: skip
    fc = FLAVORS[0]
    expected = model.decode(fc, fuse(latents, "fusion", exclude=[fc]))
    np.testing.assert_array_equal(out[f"fusion.noself->{fc}"], expected)
    # every input is fs86: only the other parcellation can be predicted without it
    assert [k for k in out if k.startswith("fusion.noatlas")] == [
        "fusion.noatlas->SCsdstream_mini_volnorm"
    ]
    assert "SCifod2act_fs86_volnorm->SCifod2act_fs86_volnorm" not in out


def test_nothing_left_is_said(checkpoint: Path, inputs: Path, tmp_path: Path) -> None:
    """Noatlas with inputs of that atlas alone ends with a message and exit code 3."""
    result = run(
        checkpoint,
        tmp_path / "o.npz",
        "--input",
        inputs,
        "--targets",
        "*_fs86_*",
        "--exclude-atlas",
    )

    assert result.exit_code == 3
    assert "fusion.noatlas" in result.output
    assert "inputs of another parcellation" in " ".join(result.output.split())
    assert not (tmp_path / "o.npz").exists()


def test_a_saved_adaptation_serves_others(
    checkpoint: Path, inputs: Path, edges: dict[Flavor, np.ndarray], tmp_path: Path
) -> None:
    """Fitted on a cohort and saved, it gives one subject alone what the cohort gave."""
    first = run(
        checkpoint,
        tmp_path / "all.npz",
        "--input",
        inputs,
        "--save-adaptation",
        tmp_path / "site.h5",
    )
    assert first.exit_code == 0, first.output
    np.savez(tmp_path / "one.npz", subjects=["9"], **{f.name: x[9:10] for f, x in edges.items()})

    for saved in ("site.h5", "site.json"):
        result = run(
            checkpoint, tmp_path / "one_out.npz", "--input", tmp_path / "one.npz",
            "--adaptation", tmp_path / saved,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        alone, together = read(tmp_path / "one_out.npz"), read(tmp_path / "all.npz")
        for key in alone:
            if key != "subjects":
                np.testing.assert_allclose(alone[key][0], together[key][9], atol=1e-4)


def test_an_adaptation_source_stands_in_for_the_inputs(
    checkpoint: Path, inputs: Path, edges: dict[Flavor, np.ndarray], tmp_path: Path
) -> None:
    """Fitting on another file gives what fitting within it gives."""
    np.savez(tmp_path / "one.npz", subjects=["9"], **{f.name: x[9:10] for f, x in edges.items()})
    mode = ["--adaptation-mode", "meanfitshift"]
    within = run(checkpoint, tmp_path / "all.npz", "--input", inputs, *mode)
    source = run(
        checkpoint,
        tmp_path / "o.npz",
        "--input",
        tmp_path / "one.npz",
        "--adaptation-source",
        inputs,
        *mode,
    )
    assert (within.exit_code, source.exit_code) == (0, 0)

    key = "fusion->encoded"
    np.testing.assert_allclose(
        read(tmp_path / "o.npz")[key][0], read(tmp_path / "all.npz")[key][9], atol=1e-5
    )


def test_one_subject_is_not_adapted_to_itself(
    checkpoint: Path, edges: dict[Flavor, np.ndarray], tmp_path: Path
) -> None:
    """Auto leaves the adaptation out for a few subjects; asking for it with one is an error."""
    np.savez(tmp_path / "one.npz", **{f.name: x[:1] for f, x in edges.items()})
    words = ["--input", tmp_path / "one.npz"]

    auto = run(checkpoint, tmp_path / "a.npz", *words)
    none = run(checkpoint, tmp_path / "n.npz", *words, "--adaptation-mode", "none")
    asked = run(checkpoint, tmp_path / "x.npz", *words, "--adaptation-mode", "meanshift")

    assert (auto.exit_code, none.exit_code, asked.exit_code) == (0, 0, 4)
    np.testing.assert_array_equal(
        read(tmp_path / "a.npz")["fusion->encoded"],
        read(tmp_path / "n.npz")["fusion->encoded"],
    )


def test_mat_and_h5_hold_what_npz_holds(checkpoint: Path, inputs: Path, tmp_path: Path) -> None:
    """predicted_alltypes.SOURCE.TARGET in MATLAB's format, SOURCE/TARGET in HDF5."""
    for suffix in (".npz", ".mat", ".h5"):
        result = run(checkpoint, tmp_path / f"o{suffix}", "--input", inputs, "--exclude-self")
        assert result.exit_code == 0, result.output
    expected = read(tmp_path / "o.npz")
    mat = loadmat(tmp_path / "o.mat", simplify_cells=True)

    assert mat["subjects"].tolist() == expected["subjects"].tolist()
    assert mat["inputtypes"].tolist() == list(NAMES[:3])
    assert mat["outputtypes"].tolist() == list(NAMES)
    with h5py.File(tmp_path / "o.h5") as file:
        for key in set(expected) - {"subjects"}:
            source, target = key.split("->")
            np.testing.assert_array_equal(mat["predicted_alltypes"][source][target], expected[key])
            np.testing.assert_array_equal(file[source][target], expected[key])


def test_subjects_without_a_flavor_are_predicted_from_the_others(
    checkpoint: Path, edges: dict[Flavor, np.ndarray], tmp_path: Path
) -> None:
    """A row of NaN in one flavor leaves that subject with the fusion of the rest."""
    holed = {flavor: x.copy() for flavor, x in edges.items()}
    holed[FLAVORS[2]][4] = np.nan
    np.savez(tmp_path / "i.npz", **{f.name: x for f, x in holed.items()})
    result = run(checkpoint, tmp_path / "o.npz", "--input", tmp_path / "i.npz")
    assert result.exit_code == 0, result.output

    out = read(tmp_path / "o.npz")

    np.testing.assert_allclose(out["fusion->encoded"][4], out["fusionFC->encoded"][4], atol=1e-6)
    assert np.isnan(out["fusionSC->encoded"][4]).all()
    assert np.isfinite(np.delete(out["fusionSC->encoded"], 4, 0)).all()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--input", "absent.npz"], 3),
        (["--input", "FCcorr_fs86_hpf=INPUTS", "--sources", "fusionSC"], 3),
        (["--input", "INPUTS", "--targets", "FCcorr_none_hpf"], 3),
        (["--input", "INPUTS", "--adaptation", "absent.h5"], 5),
        (["--input", "INPUTS", "--adaptation", "x.h5", "--adaptation-mode", "meanfit"], 2),
        (["--input", "INPUTS", "--device", "cuda:77"], 2),
        (["--input", "INPUTS", "--output", "out.txt"], 2),
        (["--input", "INPUTS", "--transforms", "absent.npy"], 5),
        (["--input", "INPUTS", "--model", "absent"], 5),
        (["--input", "SCcount_fs86_x=INPUTS"], 3),
    ],
)
def test_what_cannot_be_done_ends_with_its_exit_code(
    checkpoint: Path, inputs: Path, tmp_path: Path, words: list[str], code: int
) -> None:
    """2 usage, 3 input, 5 model; a message, no traceback, no output."""
    said = [word.replace("INPUTS", str(inputs)) for word in words]

    result = run(checkpoint, tmp_path / "o.npz", *said)

    assert result.exit_code == code, result.output
    assert "Error: " in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "o.npz").exists()


def test_what_is_read_is_never_overwritten(checkpoint: Path, inputs: Path, tmp_path: Path) -> None:
    """Also under another name: a link to the connectomes, FLAVOR=FILE, the model's transforms."""
    link, stored = tmp_path / "link.npz", tmp_path / "stored.h5"
    link.symlink_to(inputs)
    with h5py.File(stored, "w") as file, np.load(inputs) as arrays:
        file[FLAVORS[0].name] = arrays[FLAVORS[0].name]
    transforms = tmp_path / "kraken_ioxfm.npz"
    transforms.write_bytes(next(checkpoint.parent.glob("kraken_ioxfm_*")).read_bytes())
    before = [path.read_bytes() for path in (inputs, stored, transforms)]
    folder = tmp_path / "folder"
    (folder / "sub-01").mkdir(parents=True)
    (folder / "sub-01" / "sub-01_latents.tsv").write_text("source\tz000\nfusion\t1\n")
    save = ["--adaptation-mode", "meanshift", "--save-adaptation", stored.with_suffix(".json")]
    for output, *words in (
        (inputs, "--input", inputs),
        (inputs, "--input", f"{FLAVORS[0]}={link}"),
        (link, "--input", inputs),
        (transforms, "--input", inputs, "--transforms", transforms),
        (tmp_path / "o.npz", "--input", stored, *save),
        (folder, "--input", folder),
        (folder, "--input", f"encoded={folder}"),
        (folder, "--input", f"encoded={folder / 'sub-01'}"),
        (folder, "--input", f"encoded={folder / 'sub-01' / 'sub-01_latents.tsv'}"),
        (stored, "--input", inputs, "--adaptation", stored.with_suffix(".json")),
    ):
        result = run(checkpoint, output, *words)

        assert result.exit_code == 2, result.output
        assert "elsewhere than what is read" in result.output
    assert [path.read_bytes() for path in (inputs, stored, transforms)] == before


def test_two_results_need_two_names(checkpoint: Path, inputs: Path, tmp_path: Path) -> None:
    """One would be lost under the other; and what is saved already is not saved again."""
    path = tmp_path / "p.h5"
    same = run(checkpoint, path, "--input", inputs, "--save-adaptation", tmp_path / "p.json")
    twice = run(
        checkpoint, path, "--input", inputs, "--adaptation", tmp_path / "a.h5",
        "--save-adaptation", tmp_path / "b.h5",
    )  # fmt: skip

    assert same.exit_code == twice.exit_code == 2
    assert "expected different files for --output and --save-adaptation" in same.output
    assert "saved already" in twice.output
    assert not path.exists()


def test_an_adaptation_source_may_hold_other_flavors(
    checkpoint: Path, inputs: Path, edges: dict[Flavor, np.ndarray], tmp_path: Path
) -> None:
    """What the model does not know is left out; what it knows is not refused for it."""
    source, other = tmp_path / "source.npz", tmp_path / "other.npz"
    x = edges[FLAVORS[0]]
    known = {flavor.name: rows for flavor, rows in edges.items()}
    np.savez(source, **known, SCcount_strange_count=x[:, :28])
    np.savez(other, SCcount_strange_count=x[:, :28])

    given = run(checkpoint, tmp_path / "o.npz", "--input", inputs, "--adaptation-source", source)
    none = run(checkpoint, tmp_path / "o.npz", "--input", inputs, "--adaptation-source", other)

    assert given.exit_code == 0, given.output
    assert none.exit_code == 3
    assert "expected connectomes of the flavors of" in none.output


def test_an_input_that_the_adaptation_lacks_is_refused(
    checkpoint: Path, edges: dict[Flavor, np.ndarray], tmp_path: Path
) -> None:
    """A saved one, or another cohort, without one of the inputs; that input alone is no help."""
    first, second = FLAVORS[:2]
    np.savez(tmp_path / "first.npz", **{first.name: edges[first]})
    np.savez(tmp_path / "both.npz", **{f.name: edges[f] for f in (first, second)})
    output, saved = tmp_path / "o.npz", tmp_path / "a.h5"
    one = run(checkpoint, output, "--input", tmp_path / "first.npz", "--save-adaptation", saved)
    assert one.exit_code == 0, one.output
    output.unlink()

    for words, code in (
        (["--adaptation", saved], 5),
        (["--adaptation-source", tmp_path / "first.npz"], 3),
    ):
        result = run(checkpoint, output, "--input", tmp_path / "both.npz", *words)
        assert result.exit_code == code, result.output
        assert f"{words[0]}" in result.output
        assert f"found none of {second.name}" in result.output
        assert not output.exists()
        alone = run(checkpoint, output, "--input", tmp_path / "first.npz", *words)
        assert alone.exit_code == 0, alone.output
        output.unlink()


def test_a_flavor_of_few_is_adapted_only_where_a_mode_is_asked_for(
    checkpoint: Path, edges: dict[Flavor, np.ndarray], tmp_path: Path
) -> None:
    """Twelve people are enough, the three of them who have the other flavor are not."""
    first, second = FLAVORS[:2]
    few = np.where(np.arange(12)[:, None] < 3, edges[second], np.nan)
    np.savez(tmp_path / "few.npz", **{first.name: edges[first], second.name: few})
    words = ["--input", tmp_path / "few.npz"]

    auto = run(checkpoint, tmp_path / "a.npz", *words)
    asked = run(checkpoint, tmp_path / "b.npz", *words, "--adaptation-mode", "meanshift")

    assert auto.exit_code == 4
    assert f"found 3 of {second.name}" in auto.output
    assert asked.exit_code == 0, asked.output


def test_an_adaptation_that_cannot_be_used_is_said_before_the_long_work(
    checkpoint: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing file or a missing cohort: no connectome was read for it."""

    def read(*_words: object, **_more: object) -> None:
        raise AssertionError("connectomes were read first")

    monkeypatch.setattr("kraken_bids.pipeline.file_predictions.project_cohort", read)
    for words in (
        ["--adaptation", tmp_path / "no.h5"],
        ["--adaptation-source", tmp_path / "no.npz"],
    ):
        result = run(checkpoint, tmp_path / "o.npz", "--input", inputs, *words)

        assert result.exit_code in {3, 5}, result.output
        assert f"{tmp_path / 'no'}." in result.output


@pytest.mark.parametrize("name", ["subjects", "encoded"])
def test_a_fusion_may_not_be_called_as_results_are(
    checkpoint: Path, inputs: Path, tmp_path: Path, name: str
) -> None:
    """Its arrays would take the place of others in the file."""
    result = run(checkpoint, tmp_path / "o.h5", "--input", inputs, "--fusion", f"{name}=SC*")

    assert result.exit_code == 3
    assert f"found {name}" in result.output


def test_nobody_at_all_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    """A file of no rows is named."""
    path = tmp_path / "nobody.npy"
    np.save(path, np.empty((0, EDGES[0]), np.float32))

    result = run(checkpoint, tmp_path / "o.npz", "--input", f"{FLAVORS[0]}={path}")

    assert result.exit_code == 4
    assert "at least one subject" in result.output
    assert str(path) in result.output


def test_a_flavor_that_nobody_has_is_said(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its rows are NaN, and so is what is predicted from it alone."""
    path = tmp_path / "gone.npy"
    np.save(path, np.full((3, EDGES[0]), np.nan, np.float32))

    result = run(checkpoint, tmp_path / "o.npz", "--input", f"{FLAVORS[0]}={path}")

    assert result.exit_code == 0, result.output
    assert f"nobody has {FLAVORS[0]}: all its rows are NaN" in caplog.messages
    assert np.isnan(read(tmp_path / "o.npz")["fusion->encoded"]).all()


def test_missing_regions_are_filled_as_the_app_does(output_dir: Path, model_folder: Path) -> None:
    """A folder that kraken-bids wrote goes in as it is: the same latents as the app's."""
    member = list_members(output_dir)[3]
    model = load_model(model_folder, device="cpu")
    flavor = model.flavors[0]
    square = read_relmat(member.connectomes[flavor])
    square[7, :] = square[:, 7] = np.nan
    write_relmat(member.connectomes[flavor], square)

    found = encode_files([str(output_dir)], load_model(model_folder))

    cohort = read_cohort(model, list_members(output_dir), fit_on=lambda _member: True)
    adaptation = fit_cohort_adaptation(model, cohort, "meanfit+meanshift")
    expected = encode_cohort(model, cohort, adaptation)[flavor]
    np.testing.assert_allclose(found.encoded[flavor.name], expected, atol=2e-5)


def test_a_connectome_with_too_many_holes_is_left_out(
    output_dir: Path, model_folder: Path
) -> None:
    """Its latent is NaN and the fusion does without it."""
    member = list_members(output_dir)[3]
    flavor = parse_flavor("FCcorr_fs86_hpf")
    square = read_relmat(member.connectomes[flavor])
    square[:20, :] = square[:, :20] = np.nan
    write_relmat(member.connectomes[flavor], square)

    found = encode_files([str(output_dir)], load_model(model_folder))

    assert np.isnan(found.encoded[flavor.name][3]).all()
    assert np.isfinite(found.encoded["fusion"]).all()


@pytest.mark.parametrize("is_named", [True, False])
def test_flavors_that_the_model_lacks_are_warned_of_where_they_were_named(
    output_dir: Path, model_folder: Path, caplog: pytest.LogCaptureFixture, is_named: bool
) -> None:
    """A folder holds what was measured, more than a model knows: that is for information."""
    count = parse_flavor("SCifod2act_fs86_count")
    found = open_connectomes([str(output_dir)])
    cohort = Cohort(found.subjects, {**found.rows, count: next(iter(found.rows.values()))})
    caplog.set_level("INFO", logger="kraken_bids")

    known = keep_known(
        cohort,
        load_model(model_folder),
        given=[str(output_dir), f"{count}=x.npy"] if is_named else [str(output_dir)],
    )

    assert set(known.rows) == set(found.rows)
    (said,) = (r for r in caplog.records if f"has no flavor {count}" in r.getMessage())
    assert said.levelname == ("WARNING" if is_named else "INFO")


def test_a_saved_adaptation_of_other_lengths_is_refused(
    checkpoint: Path, inputs: Path, tmp_path: Path
) -> None:
    """Its means would not fit the edges that they are taken from."""
    words = ["--input", inputs, "--save-adaptation", tmp_path / "a.h5"]
    assert run(checkpoint, tmp_path / "o.npz", *words).exit_code == 0
    saved = read_adaptation(tmp_path / "a.h5")
    flavor, fit = next(iter(saved.flavors.items()))
    short = replace(fit, mean_new=fit.mean_new[:-1], training_mean=fit.training_mean[:-1])
    damaged = replace(saved, flavors={**saved.flavors, flavor: short})
    write_adaptation(damaged, tmp_path / "b.h5")

    result = run(
        checkpoint, tmp_path / "p.npz", "--input", inputs, "--adaptation", tmp_path / "b.h5"
    )

    assert result.exit_code == 5
    assert f"{tmp_path / 'b.h5'}: expected an adaptation of means of" in result.output
    assert f"edges for {flavor}; found {fit.mean_new.size - 1}" in result.output


def test_too_small_an_adaptation_source_is_said_and_not_read(
    checkpoint: Path, inputs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Unless a mode is asked for, as which its numbers matter."""
    path = tmp_path / "few.npz"
    np.savez(
        path,
        **{f.name: np.full((3, n), np.inf) for f, n in zip(FLAVORS[:3], EDGES[:3], strict=True)},
    )
    words = ["--input", inputs, "--adaptation-source", path]

    auto = run(checkpoint, tmp_path / "a.npz", *words)
    asked = run(checkpoint, tmp_path / "b.npz", *words, "--adaptation-mode", "meanshift")

    assert auto.exit_code == 0, auto.output
    assert "3 subjects are too few to fit an adaptation" in caplog.text
    assert asked.exit_code == 4
    assert "infinite" in asked.output
