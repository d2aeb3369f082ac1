"""Decoders trained on planted blobs from files, and what is said of what cannot be trained on."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cli.tools import main
from kraken_bids.cohort.trials import Trial
from kraken_bids.connectome.functional.confounds import MOTION
from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError
from kraken_bids.io.records import from_columns
from kraken_bids.io.tables import read_columns
from kraken_bids.io.writing import write_table
from kraken_bids.models.decoding_records import (
    BY_CHANCE,
    BY_RELEVANCE,
    DecodedTrial,
    DecodingScore,
    DeletedShare,
    FoldMember,
    WeightsCheck,
)
from kraken_bids.models.step_training import StepSettings
from kraken_bids.models.volumes.checkpoint import read_volume_model
from kraken_bids.pipeline import volume_training
from kraken_bids.pipeline.decoding import training_course
from kraken_bids.pipeline.decoding.training_course import KeptSteps
from kraken_bids.pipeline.volume_training import train_volumes
from kraken_bids.pipeline.volumes.cleaned_volumes import AFFINE
from kraken_bids.pipeline.volumes.decoded_run import decode_run
from kraken_bids.pipeline.volumes.decoding_request import DecodingRequest
from kraken_bids.pipeline.volumes.held_out_relevance import MOST_VOLUMES
from kraken_bids.pipeline.volumes.labelled_volumes import split_events
from kraken_bids.pipeline.volumes.training_options import VolumeTrainingOptions
from kraken_bids.pipeline.volumes.volume_cache import VolumeRun
from tests.pipeline.volumes.conftest import N_VOLUMES, SHAPE, TR, write_run

BLOBS = (slice(2, 5), slice(3, 6), slice(2, 5)), (slice(7, 10), slice(8, 11), slice(6, 9))
STEPS = {"2d": (80, 5e-3), "3d": (400, 3e-2)}
TISSUES = ("csf", "white_matter", *(f"{name}_comp_cor_0{k}" for name in "cw" for k in range(4)))
TABLES = (
    "predictions.tsv",
    "confusion.tsv",
    "scores.tsv",
    "splits.tsv",
    "shuffles.tsv",
    "history.tsv",
    "relevance_check.tsv",
    "deletion.tsv",
)
ONSETS = np.arange(0.0, TR * N_VOLUMES, 6 * TR)
DURATION = 4 * TR
"""s; of these events the second volume to the one 1.44 s past the end are taken: 4."""


@pytest.fixture(autouse=True)
def _one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def plant(folder: Path, person: int, *, seed: int = 0) -> Path:
    """Write a run in which one blob rises (left) or another falls; returns the run."""
    rng = np.random.default_rng([seed, person])
    states = rng.permutation(np.arange(len(ONSETS)) % 2)
    values = rng.normal(1000, 30, (*SHAPE, N_VOLUMES))
    for onset, state in zip(ONSETS, states, strict=True):
        first = int(onset / TR)
        values[(*BLOBS[state], slice(first + 1, first + 5))] += (200, -200)[state]
    mask = np.ones(SHAPE, np.uint8)
    mask[0] = 0
    name = f"sub-{person:02}_task-motor"
    func = folder / "bids" / f"sub-{person:02}" / "func"
    func.mkdir(parents=True)
    write_table(func / f"{name}_events.tsv", {
        "onset": ONSETS, "duration": np.full(len(ONSETS), DURATION),
        "trial_type": [("left", "right")[state] for state in states],
    })  # fmt: skip
    stem = f"{name}_space-MNI152NLin6Asym_res-2_desc"
    return write_run(folder / "prep", values, mask, stem=stem)[0]


@pytest.fixture
def people(tmp_path: Path) -> list[Path]:
    return [plant(tmp_path, person) for person in range(6)]


def options(people: list[Path], kind: str = "2d", **changes) -> VolumeTrainingOptions:
    n_steps, rate = STEPS[kind]
    own = VolumeTrainingOptions(
        events=people[0].parents[1] / "bids",
        architecture=kind,
        steps=StepSettings(n_steps=n_steps, weight_decay=0.0, device="cpu"),
        learning_rate=rate,
        batch_size=12,
        n_folds=2,
        grid=SHAPE,
        channels=(8, 16),
        strides=(2, 2),
    )
    return replace(own, **changes)


def few_steps(people: list[Path], **changes) -> VolumeTrainingOptions:
    own = options(people, **changes)
    return replace(own, steps=replace(own.steps, n_steps=3))


@pytest.mark.parametrize("kind", ["2d", pytest.param("3d", marks=pytest.mark.slow)])
def test_a_planted_blob_is_decoded_in_people_held_out_and_found_again(
    kind: str, people: list[Path], tmp_path: Path
) -> None:
    """Relevance of a person who is new lies in the blobs.

    Shuffled labels are near chance: those of the 40 events of a training agree with the true ones
    in a share of 0.5 with deviation 0.08, of which a network makes more, and three are averaged.
    """
    output = tmp_path / "out"

    scores = train_volumes(people, output, options(people, kind, n_folds=3))
    found = {one.method: one for one in scores}

    assert list(found) == ["scratch", "shuffled", "linear", "chance"]
    assert found["scratch"].balanced_low > found["chance"].balanced_high
    assert found["linear"].balanced_low > found["chance"].balanced_high
    assert abs(found["shuffled"].balanced_accuracy - 0.5) < 0.2
    assert found["scratch"].balanced_low > found["shuffled"].balanced_accuracy
    assert found["scratch"].n_trials == 6 * len(ONSETS) * 4
    bold = plant(tmp_path / "new", 99, seed=1)
    mask = bold.with_name(bold.name.replace("preproc_bold", "brain_mask"))
    request = DecodingRequest(bold, mask, tmp_path / "decoded", has_relevance=True)
    paths = decode_run(read_volume_model(output), request)
    probabilities, relevance = (
        next(path for path in paths if path.name.endswith(ending))
        for ending in ("decode_probabilities.tsv", "decode_relevance.nii.gz")
    )
    states = read_columns(probabilities)["state"]
    labels = read_columns(next((tmp_path / "new").rglob("*_events.tsv")))["trial_type"]
    volumes = (ONSETS / TR).astype(int)[:, None] + np.arange(1, 5)
    assert np.mean(states[volumes] == labels[:, None]) > 0.8
    mean = np.abs(nibabel.load(relevance).get_fdata()[..., volumes.ravel()].mean(-1))
    is_inside = np.zeros(SHAPE, bool)
    for blob in BLOBS:
        is_inside[blob] = True
    assert mean[is_inside].mean() >= 5 * mean[~is_inside].mean()
    check_maps_of_held_out(output, is_inside)


def check_maps_of_held_out(output: Path, is_inside: np.ndarray) -> None:
    """Look whether maps lie in the blobs, depend on what was learned, and matter."""
    for state in ("left", "right"):
        path = output / "relevance" / f"stat-mean_label-{state}_relevance.nii.gz"
        size = np.abs(nibabel.load(path).get_fdata()[..., 0])
        assert size[is_inside].mean() > 2 * size[~is_inside].mean()
        assert json.loads(sidecar_path(path).read_text())["NumberOfVolumes"] == 3 * MOST_VOLUMES
    (check,) = from_columns(WeightsCheck, read_columns(output / "relevance_check.tsv"))
    assert check.correlation < 0.6  # 0.50 of the small 2D network
    points = from_columns(DeletedShare, read_columns(output / "deletion.tsv"))
    sums = dict.fromkeys((BY_RELEVANCE, BY_CHANCE), 0.0)
    for one in points:
        sums[one.order] += one.probability
    assert sums[BY_RELEVANCE] < sums[BY_CHANCE]
    page = (output / "report.html").read_text()
    assert "With random weights in place of all learned ones" in page
    assert "decisions rest on the voxels that the maps show" in page


def test_labels_are_shuffled_among_the_events_of_each_person() -> None:
    """Each person keeps the number of events of each state; no label says more than chance."""
    events = [Trial(run, 6 * k, 4, "ab"[k % 2], 12.0 * k) for run in (0, 1, 2) for k in range(8)]
    runs = [VolumeRun(Path(f"{k}"), Path("m"), f"{k // 2}", 60, TR) for k in (0, 1, 2)]
    volumes = split_events(runs, events, {"0": "f", "1": "g"})
    rows = np.flatnonzero([one.run != 1 for one in volumes.trials])
    rng = np.random.default_rng(0)
    agreement = []
    for _ in range(400):
        shuffled = volumes.shuffle(rows, rng).reshape(-1, 8, 4)  # person, event, volume
        assert (shuffled == shuffled[..., :1]).all()
        assert (shuffled[..., 0].sum(1) == 4).all()
        agreement.append(np.mean(shuffled.ravel() == volumes.labels[rows]))
    error = np.std(agreement) / np.sqrt(len(agreement))
    assert abs(np.mean(agreement) - 0.5) < 4 * error
    assert error > 0


def test_every_volume_is_held_out_once_with_all_of_its_person(
    people: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    train_volumes(people[:4], output, few_steps(people, n_repeats=2))
    read = {
        name: from_columns(kind, read_columns(output / name))
        for name, kind in (
            ("splits.tsv", FoldMember), ("predictions.tsv", DecodedTrial),
            ("scores.tsv", DecodingScore),
        )
    }  # fmt: skip
    folds = {(one.participant_id, one.repeat): one.fold for one in read["splits.tsv"]}
    rows = read["predictions.tsv"]
    assert len(rows) == 4 * len(ONSETS) * 4 * 2 * 4
    assert all(folds[one.participant_id, one.repeat] == one.fold for one in rows)
    assert {one.n_volumes for one in rows} == {1}
    model = read_volume_model(output)
    assert model.states == ("left", "right")
    assert model.provenance["Subjects"] == ["00", "01", "02", "03"]
    assert model.provenance["RepetitionTimes"] == [TR]
    path = output / "relevance" / "stat-mean_label-left_relevance.nii.gz"
    told = json.loads(sidecar_path(path).read_text())
    # of the first repeat alone: the same number of each fold
    assert (told["State"], told["NumberOfVolumes"]) == ("left", 2 * MOST_VOLUMES)
    page = (output / "report.html").read_text()
    assert "Which voxels it rests on" in page
    assert f"mean of {2 * MOST_VOLUMES} volumes" in page
    assert not (output / "unfinished").exists()


def test_an_interrupted_training_goes_on_to_the_same_bytes(
    people: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, output = few_steps(people), tmp_path / "out"
    train_volumes(people[:4], tmp_path / "whole", own)
    decode_part, calls = volume_training.decode_part, []

    def stop_at_the_third(*given):
        calls.append(given[0])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return decode_part(*given)

    monkeypatch.setattr(volume_training, "decode_part", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        train_volumes(people[:4], output, own)
    with pytest.raises(SettingsError, match="--resume"):
        train_volumes(people[:4], output, own)
    with pytest.raises(SettingsError, match="batch_size: "):
        train_volumes(people[:4], output, replace(own, resume=True, batch_size=5))
    train_volumes(people[:4], output, replace(own, resume=True))

    assert len(calls) == 3 + 6
    for name in (*TABLES, "model.json", "weights.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (output / name).read_bytes(), name
    assert train_volumes(people[:4], output, replace(own, resume=True)) == []


@pytest.mark.parametrize("name", ["scratch_repeat-1_fold-1", "everyone"])
def test_a_training_stopped_between_two_steps_goes_on_from_there(
    name: str, people: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the same weights and history, without the steps that were made."""
    own, output = few_steps(people), tmp_path / "out"
    own = replace(own, steps=replace(own.steps, n_steps=5))
    train_volumes(people[:4], tmp_path / "whole", own)
    monkeypatch.setattr(training_course, "SAVE_SECONDS", 0.0)
    note, made = KeptSteps.__call__, []

    def stop_after_the_third(kept: KeptSteps, training, result) -> bool:
        note(kept, training, result)
        if kept._name == f"steps_{name}":
            made.append(result.step)
            if made == [1, 2, 3]:
                raise KeyboardInterrupt
        return False

    monkeypatch.setattr(KeptSteps, "__call__", stop_after_the_third)
    with pytest.raises(KeyboardInterrupt):
        train_volumes(people[:4], output, own)
    assert list(output.rglob(f"steps_{name}.npz"))
    train_volumes(people[:4], output, replace(own, resume=True))

    assert made == [1, 2, 3, 4, 5]
    for table in (*TABLES, "model.json", "weights.safetensors"):
        assert (tmp_path / "whole" / table).read_bytes() == (output / table).read_bytes(), table


def test_volumes_that_do_not_count_are_no_examples(people: list[Path], tmp_path: Path) -> None:
    """By a strategy that leaves out where the head moves: the fourth volume of an event."""
    jump = int(ONSETS[2] / TR) + 3
    for path in people[:4]:
        motion = np.zeros((N_VOLUMES, 6))
        motion[:, 0] = np.random.default_rng(0).normal(0, 0.01, N_VOLUMES)
        motion[jump:, 1] = 3.0 if path == people[0] else 0.0
        table = path.name.partition("_space-")[0] + "_desc-confounds_timeseries.tsv"
        write_table(path.with_name(table), {
            **dict(zip(MOTION, motion.T, strict=True)),
            **{n: np.random.default_rng(1).normal(size=N_VOLUMES) for n in TISSUES},
        })  # fmt: skip
    train_volumes(people[:4], tmp_path / "out", few_steps(people, cleaning="fmriclean"))

    rows = from_columns(DecodedTrial, read_columns(tmp_path / "out" / "predictions.tsv"))
    found: dict[str, set[int]] = {}
    for one in rows:
        found.setdefault(one.run, set()).add(one.first)
    first, *others = (found[run] for run in sorted(found))
    assert others[0] == others[1] == others[2]
    assert len(others[0]) == 4 * len(ONSETS)
    # what jumps is the step between two volumes
    assert others[0] - first == {jump - 1, jump}
    assert read_volume_model(tmp_path / "out").cleaning.strategy == "fmriclean"


def test_a_decoder_is_trained_further_with_new_outputs(
    people: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_volumes(people[:4], tmp_path / "first", few_steps(people))
    own = few_steps(people, decoder=tmp_path / "first", classes=("left=hand", "right=foot"))

    found = train_volumes(people[2:], tmp_path / "second", own)

    assert [one.method for one in found] == [
        "pretrained",
        "scratch",
        "shuffled",
        "linear",
        "chance",
    ]
    assert "2 of 4 people are among those that the model was pretrained on (02, 03)" in caplog.text
    model = read_volume_model(tmp_path / "second")
    assert model.states == ("foot", "hand")
    assert model.provenance["Pretraining"]["Subjects"] == ["00", "01", "02", "03"]
    with pytest.raises(SettingsError, match="--architecture 3d: expected that of --decoder, 2d"):
        train_volumes(people[2:], tmp_path / "third", replace(own, architecture="3d"))


def test_what_cannot_be_trained_on_is_named(people: list[Path], tmp_path: Path) -> None:
    own, output = few_steps(people), tmp_path / "out"
    mask = people[0].with_name(people[0].name.replace("preproc_bold", "brain_mask"))
    with pytest.raises(InputError, match=r"found sub-00.* twice"):
        train_volumes([*people, people[0]], output, own)
    with pytest.raises(SettingsError, match="cuda:9"):
        train_volumes(people, output, replace(own, steps=replace(own.steps, device="cuda:9")))
    away = mask.rename(tmp_path / "away.nii.gz")
    with pytest.raises(InputError, match=r"brain mask of .*sub-00"):
        train_volumes(people, output, own)
    away.rename(mask)
    late = {"onset": [9e3], "duration": [8.0], "trial_type": ["left"]}
    for table in sorted((tmp_path / "bids").rglob("*_events.tsv"))[1:]:
        write_table(table, late)
    with pytest.raises(InputError, match=r"left .*right"):  # each of one person alone
        train_volumes(people, output, own)
    write_table(next((tmp_path / "bids" / "sub-00").rglob("*_events.tsv")), late)
    with pytest.raises(InputError, match="no volume is in the run"):
        train_volumes(people, output, own)
    assert not output.exists()


def test_another_template_and_a_constant_volume_are_refused(
    people: list[Path], tmp_path: Path
) -> None:
    image = nibabel.load(people[1])
    values = image.get_fdata()
    values[..., 7] = 3.0
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), AFFINE, image.header), people[1])
    with pytest.raises(ConnectomeError, match=r"volume 8 of 60 in .*sub-01"):
        train_volumes(people, tmp_path / "out", few_steps(people))
    others = []
    for path in people:
        for kind in ("preproc_bold", "brain_mask"):
            one = path.with_name(path.name.replace("preproc_bold", kind))
            renamed = one.rename(one.with_name(one.name.replace("NLin6Asym", "NLin2009cAsym")))
            others += [renamed] if kind == "preproc_bold" else []
    with pytest.raises(InputError, match="--output-spaces MNI152NLin6Asym:res-2"):
        train_volumes(others, tmp_path / "other", few_steps(people))
    assert not (tmp_path / "other").exists()


def test_the_command_trains_with_regions_of_an_atlas(people: list[Path], tmp_path: Path) -> None:
    """On a further training, since the command knows the whole grid alone."""
    train_volumes(people[:4], tmp_path / "first", few_steps(people))
    labels = np.zeros(SHAPE, np.uint8)
    labels[BLOBS[0]], labels[BLOBS[1]] = 3, 8
    image = tmp_path / "space-MNI152NLin6Asym_dseg.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), image)

    found = CliRunner().invoke(main, [
        "train-volumes", *map(str, people[:4]), "--output", str(tmp_path / "out"),
        "--events", str(tmp_path / "bids"), "--windows", "deeplight", "--decoder",
        str(tmp_path / "first"), "--labels", f"blobs={image}", "--steps", "2", "--folds", "2",
        "--repeats", "1", "--batch-size", "4", "--device", "cpu",
    ])  # fmt: skip

    assert found.exit_code == 0, found.output
    rows = from_columns(DecodingScore, read_columns(tmp_path / "out" / "scores.tsv"))
    (linear,) = [one for one in rows if (one.method, one.repeat) == ("linear", "all")]
    assert linear.balanced_accuracy > 0.9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--events", "nowhere"], "nothing at nowhere"),
        ([], "expected --events BIDS_DIR"),
        (["--events", ".", "--folds", "1"], "--folds of 2 or more"),
        (["--events", ".", "--batch-size", "0"], "--batch-size and --n-threads of 1"),
    ],
)
def test_what_cannot_be_is_said_at_once(words: list[str], message: str, tmp_path: Path) -> None:
    bold = tmp_path / "sub-1_bold.nii.gz"
    bold.touch()
    given = ["train-volumes", str(bold), "--output", str(tmp_path / "out"), *words]
    found = CliRunner().invoke(main, given)
    assert found.exit_code != 0
    assert message in found.output
    assert not (tmp_path / "out").exists()
