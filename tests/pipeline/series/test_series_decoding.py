"""Decoding of planted states: what each method finds, what is written, and how it goes on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.series_store import gather_series
from kraken_bids.cohort.trial_windows import TrialWindow
from kraken_bids.cohort.trials import Trial
from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError
from kraken_bids.io.records import from_columns
from kraken_bids.io.tables import read_columns
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.decoding_records import (
    ConfusionCount,
    DecodedTrial,
    DecodingScore,
    FoldMember,
    RegionRelevance,
    ShuffledControl,
    TrainingPoint,
    WeightsCheck,
)
from kraken_bids.models.series.checkpoint import read_series_model, write_series_model
from kraken_bids.models.series.classification import make_classifier
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.pipeline import series_decoding
from kraken_bids.pipeline.decoding import held_out_trials
from kraken_bids.pipeline.decoding.held_out_trials import shuffle_labels
from kraken_bids.pipeline.series import relevance_maps
from kraken_bids.pipeline.series.decoding_methods import TrialSet
from kraken_bids.pipeline.series.decoding_options import DecodingOptions
from kraken_bids.pipeline.series_decoding import decode_series

SECOND = {"repetition_time": 1.0}
TABLES = {
    "predictions.tsv": DecodedTrial,
    "confusion.tsv": ConfusionCount,
    "scores.tsv": DecodingScore,
    "splits.tsv": FoldMember,
    "shuffles.tsv": ShuffledControl,
    "relevance.tsv": RegionRelevance,
    "relevance_check.tsv": WeightsCheck,
    "history.tsv": TrainingPoint,
}


def with_events(options: DecodingOptions, planted: Path, **changes) -> DecodingOptions:
    return replace(
        options, labels="", events=planted / "bids", window=TrialWindow(lag=0), **changes
    )


def decode(options: DecodingOptions, planted: Path, output: Path) -> dict[str, DecodingScore]:
    found = decode_series(sorted((planted / "series").glob("*.tsv")), output, options, SECOND)
    return {one.method: one for one in found}


def read(output: Path, name: str) -> list:
    return from_columns(TABLES[name], read_columns(output / name))


def test_states_that_differ_in_time_alone_are_decoded_by_the_network_alone(
    plant: Callable[..., Path], options: DecodingOptions, tmp_path: Path
) -> None:
    """Shuffled labels are at chance: their interval over shuffles has it."""
    planted = plant("time", n_people=8)

    found = decode(with_events(options, planted, n_folds=4), planted, tmp_path / "out")

    assert found["scratch"].accuracy_low > 0.7
    assert found["scratch"].over_linear_low > 0.1
    assert found["linear"].accuracy < 0.65
    assert found["shuffled"].accuracy_low <= 0.5 <= found["shuffled"].accuracy_high
    whole, repeat, *single = read(tmp_path / "out", "shuffles.tsv")
    assert whole.is_chance_by_people
    assert (whole.n_people, repeat.n_trials, len(single)) == (8, 8 * 16, 4)
    assert whole.people_low >= 0.125  # one of eight guesses right, at least


def test_the_line_sees_the_mean_of_volumes_that_count(tmp_path: Path) -> None:
    """Others hold the mean of their run, and would pull every pattern to it."""
    values = np.random.default_rng(0).standard_normal((20, 3))
    kept = np.ones(20, int)
    kept[[1, 2, 12]] = 0
    for subject in ("01", "02"):
        path = tmp_path / f"sub-{subject}_task-x_timeseries.tsv"
        write_table(path, {f"r{k}": values[:, k] for k in range(3)})
        write_json(sidecar_path(path), {"RepetitionTime": 1.0, "VolumesKept": kept.tolist()})
    store = gather_series(sorted(tmp_path.glob("*.tsv")), tmp_path / "store")
    trials = (Trial(0, 0, 4, "a", 0.0), Trial(1, 10, 5, "b", 10.0))
    labels, people = np.array([0, 1], np.intp), ("01", "02")
    found = TrialSet(store.runs, trials, ("a", "b"), labels, people, people, store)

    patterns = found.average(np.array([0, 1], np.intp))

    counted = values[kept > 0]
    scaled = (values - counted.mean(axis=0)) / counted.std(axis=0)
    wanted = [scaled[[0, 3]].mean(axis=0), scaled[[10, 11, 13, 14]].mean(axis=0)]
    np.testing.assert_allclose(patterns, wanted, atol=1e-6)


def test_labels_that_are_not_shuffled_are_outside_the_interval_of_chance(
    plant: Callable[..., Path],
    options: DecodingOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the control is for: it fails where the truth leaks."""
    planted = plant("time", n_people=8)
    monkeypatch.setattr(held_out_trials, "shuffle_labels", lambda labels, *_: labels)

    decode(with_events(options, planted, n_folds=2), planted, tmp_path / "out")

    whole = read(tmp_path / "out", "shuffles.tsv")[0]
    assert not whole.is_chance_by_people
    assert whole.accuracy > whole.people_high
    said = json.loads((tmp_path / "out" / "shuffles.json").read_text())
    assert (said["NumberOfShuffles"], said["WithinChanceByTrials"]) == (2, 0)


def test_states_that_differ_in_space_are_decoded_as_well_by_a_line(
    plant: Callable[..., Path], options: DecodingOptions, tmp_path: Path
) -> None:
    planted = plant("space", n_people=8)

    found = decode(with_events(options, planted), planted, tmp_path / "out")

    assert found["linear"].accuracy_low > 0.7
    assert found["scratch"].over_linear_low <= 0 <= found["scratch"].over_linear_high + 0.02


@pytest.mark.slow
def test_more_people_tell_network_and_line_apart_more_surely(
    plant: Callable[..., Path], options: DecodingOptions, tmp_path: Path
) -> None:
    """Twenty people in five folds, twice; ten shuffles."""
    planted = plant("time", n_people=20, n_trials=10)

    found = decode(
        with_events(options, planted, n_folds=5, n_repeats=2), planted, tmp_path / "out"
    )

    assert found["scratch"].accuracy_low > 0.8
    assert found["scratch"].over_linear_low > 0.25
    assert found["linear"].accuracy_high < 0.6
    assert 0.35 < found["shuffled"].accuracy_low <= 0.5 <= found["shuffled"].accuracy_high < 0.65
    shuffles = read(tmp_path / "out", "shuffles.tsv")
    assert len(shuffles) == 1 + 2 * (1 + 5)
    assert all(one.is_chance_by_people for one in shuffles[:2])
    assert sum(one.is_chance_by_people for one in shuffles) >= 12


@pytest.mark.slow
def test_more_people_do_not_tell_network_and_line_apart_in_space(
    plant: Callable[..., Path], options: DecodingOptions, tmp_path: Path
) -> None:
    """Twenty people in five folds, twice: equal to two hundredths."""
    planted = plant("space", n_people=20, n_trials=10)

    found = decode(
        with_events(options, planted, n_folds=5, n_repeats=2), planted, tmp_path / "out"
    )

    assert found["linear"].accuracy_low > 0.8
    assert abs(found["scratch"].over_linear) < 0.02
    assert found["scratch"].over_linear_low <= 0.01
    assert found["scratch"].over_linear_high >= -0.01
    assert read(tmp_path / "out", "shuffles.tsv")[0].is_chance_by_people


def test_a_label_all_of_whose_people_are_held_out_together_is_said(
    plant: Callable[..., Path],
    options: DecodingOptions,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Two of six people have it; of some splits they are in one part."""
    planted = plant("time", n_people=6)
    table = tmp_path / "labels.tsv"
    names = [path.stem for path in sorted((planted / "series").glob("*.tsv"))]
    write_table(table, {"run": names, "label": [*"ccababababca"]})
    own = replace(options, labels=str(table), n_folds=2, n_repeats=4)

    decode(replace(own, steps=replace(own.steps, n_steps=2)), planted, tmp_path / "out")

    folds: dict[int, set[int]] = {}
    for one in read(tmp_path / "out", "splits.tsv"):
        if float(one.participant_id) in {0, 5}:
            folds.setdefault(one.repeat, set()).add(one.fold)
    said = [
        f"fold {fold} of repeat {repeat}"
        for repeat, (fold, *others) in ((k, sorted(own)) for k, own in folds.items())
        if not others
    ]
    assert 0 < len(said) < 4
    (message,) = [one for one in caplog.messages if "all who have c " in one]
    assert all(one in message for one in said)
    assert message.count("fold ") == len(said)


def test_everything_is_written_and_of_people_held_out(
    plant: Callable[..., Path], options: DecodingOptions, tmp_path: Path
) -> None:
    planted, output = plant("time", n_people=6), tmp_path / "out"
    own = with_events(options, planted, n_folds=3, n_repeats=2)
    own = replace(own, steps=replace(own.steps, n_steps=5))

    decode(own, planted, output)

    folds = {(one.participant_id, one.repeat): one.fold for one in read(output, "splits.tsv")}
    predictions = read(output, "predictions.tsv")
    assert len(folds) == 6 * 2
    assert len(predictions) == 96 * 2 * 4  # every trial once per repeat and method
    assert all(folds[one.participant_id, one.repeat] == one.fold for one in predictions)
    confusion = read(output, "confusion.tsv")
    assert sum(one.n_trials for one in confusion) == 192
    scores = read(output, "scores.tsv")
    assert len(scores) == 4 * (1 + 2 * 4)
    (own_score,) = [
        one for one in scores if (one.method, one.repeat, one.split) == ("scratch", "2", "3")
    ]
    mine = [p for p in predictions if (p.method, p.repeat, p.fold) == ("scratch", 2, 3)]
    assert own_score.accuracy == pytest.approx(np.mean([p.label == p.predicted for p in mine]))
    assert (own_score.n_subjects, own_score.n_trials) == (2, 32)
    relevance = read(output, "relevance.tsv")
    assert len(relevance) == 2 * 8 * 8
    assert {one.volume for one in relevance} == set(range(8))
    assert json.loads((output / "relevance.json").read_text())["Completeness"] <= 1e-3
    assert {one.randomised for one in read(output, "relevance_check.tsv")} == {"heads", "all"}
    assert read(output, "history.tsv")[-1].step == 5
    model = read_series_model(output)
    assert model.classes == ("left", "right")
    assert model.probabilities([np.zeros((8, 8))], [1.0]).shape == (1, 2)
    assert not (output / "unfinished").exists()
    assert "Decoding of mental states" in (output / "report.html").read_text()


def test_an_interrupted_decoding_goes_on_to_the_same_bytes(
    plant: Callable[..., Path],
    options: DecodingOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted = plant("time", n_people=4)
    own = with_events(options, planted)
    own = replace(own, steps=replace(own.steps, n_steps=4))
    decode(own, planted, tmp_path / "whole")
    decode_held_out, calls = series_decoding.decode_held_out, []

    def stop_at_the_fifth(*given):
        calls.append(given[0])
        if len(calls) == 5:
            raise KeyboardInterrupt
        return decode_held_out(*given)

    monkeypatch.setattr(series_decoding, "decode_held_out", stop_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        decode(own, planted, tmp_path / "out")
    with pytest.raises(SettingsError, match="--resume"):
        decode(own, planted, tmp_path / "out")
    other = replace(own, steps=replace(own.steps, seed=1), resume=True)
    with pytest.raises(SettingsError, match="seed: 0 then, 1 now"):
        decode(other, planted, tmp_path / "out")
    decode(replace(own, resume=True), planted, tmp_path / "out")

    assert len(calls) == 5 + 4
    for name in (*TABLES, "model.json", "weights.safetensors"):
        one, two = ((tmp_path / out / name).read_bytes() for out in ("whole", "out"))
        assert one == two, name
    (tmp_path / "out" / "unfinished").mkdir()  # as where it was stopped before that went
    assert decode(replace(own, resume=True), planted, tmp_path / "out") == {}
    assert not (tmp_path / "out" / "unfinished").exists()


def test_a_pretrained_model_is_compared_with_one_from_scratch(
    plant: Callable[..., Path],
    options: DecodingOptions,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Regions in another order are put into that of the model; people it knows are named."""
    planted = plant("time", n_people=4)
    store = series_decoding.gather_series(
        sorted((planted / "series").glob("*.tsv")), tmp_path, repetition_time=1.0
    )
    network = make_classifier(options.recipe.design(8), seed=3)
    known = SeriesModel(network.eval(), store.data, provenance={"Subjects": ["00", "99"]})
    write_series_model(known, tmp_path / "model")
    for table in (planted / "series").glob("*.tsv"):
        write_table(table, dict(reversed(read_columns(table).items())))
    own = with_events(options, planted, model=tmp_path / "model")
    own = replace(own, steps=replace(own.steps, n_steps=3))

    found = decode(own, planted, tmp_path / "out")

    assert list(found) == ["pretrained", "scratch", "shuffled", "linear", "chance"]
    assert "1 of 4 people are among those that the model was pretrained on (00)" in caplog.text
    assert read_series_model(tmp_path / "out").data.regions == store.data.regions


def test_families_are_held_out_together(
    plant: Callable[..., Path], options: DecodingOptions, tmp_path: Path
) -> None:
    planted = plant("time", n_people=6)
    table = tmp_path / "people.tsv"
    names = [f"{k:02}" for k in range(6)]
    write_table(table, {"participant_id": names, "site": ["a", "a", "b", "b", "c", "c"]})
    own = with_events(options, planted, families="site", participants=table, n_folds=3)
    own = replace(own, steps=replace(own.steps, n_steps=2))

    decode(own, planted, tmp_path / "out")

    members = read(tmp_path / "out", "splits.tsv")
    assert {len({m.fold for m in members if m.family == site}) for site in "abc"} == {1}
    with pytest.raises(ConnectomeError, match="at least 4 families"):
        decode(replace(own, n_folds=4), planted, tmp_path / "more")


def test_labels_of_whole_runs_come_from_a_table(
    plant: Callable[..., Path], options: DecodingOptions, tmp_path: Path
) -> None:
    planted = plant("time", n_people=4)
    table = tmp_path / "labels.tsv"
    names = [path.stem for path in sorted((planted / "series").glob("*.tsv"))]
    write_table(table, {"run": names, "label": [k % 2 for k in range(8)]})
    own = replace(options, labels=str(table), steps=replace(options.steps, n_steps=2))

    found = decode(own, planted, tmp_path / "out")

    assert found["scratch"].n_trials == 8
    unknown = ["n/a", *[str(k % 2) for k in range(1, 8)]]
    write_table(table, {"run": names, "label": unknown})
    assert decode(own, planted, tmp_path / "fewer")["scratch"].n_trials == 7
    write_table(table, {"run": [*names, names[0]], "label": [*"ababababb"]})
    with pytest.raises(InputError, match="'a' and 'b' of sub-00"):
        decode(own, planted, tmp_path / "none")
    write_table(table, {"run": ["other"], "label": ["a"]})
    with pytest.raises(InputError, match="expected labels of the runs"):
        decode(own, planted, tmp_path / "none")
    with pytest.raises(InputError, match="found 'task_label'"):
        decode(replace(own, labels="task_label"), planted, tmp_path / "none")


def test_chance_is_that_of_a_guess_where_each_person_has_one_label(
    plant: Callable[..., Path], options: DecodingOptions, tmp_path: Path
) -> None:
    """The most frequent label of the others is the one that a person does not have."""
    planted = plant("time", n_people=4)
    table = tmp_path / "labels.tsv"
    names = [path.stem for path in sorted((planted / "series").glob("*.tsv"))]
    write_table(table, {"run": names, "label": [*"aabbaabb"]})
    own = replace(options, labels=str(table), n_folds=4)

    found = decode(replace(own, steps=replace(own.steps, n_steps=2)), planted, tmp_path / "out")

    assert (found["chance"].accuracy, found["chance"].balanced_accuracy) == (0.5, 0.5)


def test_relevance_of_trials_of_any_length_adds_up(
    plant: Callable[..., Path],
    options: DecodingOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its mean over trials, summed over volumes and regions, is the mean of the trials' sums."""
    planted, sums = plant("time", n_people=4, n_trials=4), []
    for table in (planted / "bids").glob("*/func/*"):
        write_table(table, read_columns(table) | {"duration": np.array([8.0, 3.0, 8.0, 5.0])})
    explain = relevance_maps.explain_trials

    def note(network, trials):
        found = explain(network, trials)
        sums.append([(trials.labels[k], one.sum()) for k, one in enumerate(found.values)])
        return found

    monkeypatch.setattr(relevance_maps, "explain_trials", note)
    own = replace(options, steps=replace(options.steps, n_steps=3))
    decode(with_events(own, planted), planted, tmp_path / "out")

    rows = read(tmp_path / "out", "relevance.tsv")
    trained = [one for k in (0, 3) for one in sums[k]]  # the others have random weights
    for k, label in enumerate(("left", "right")):
        whole = sum(row.relevance for row in rows if row.label == label)
        assert whole == pytest.approx(np.mean([s for of, s in trained if of == k]), rel=1e-4)


def test_another_repetition_time_is_not_resumed(
    plant: Callable[..., Path], options: DecodingOptions, tmp_path: Path
) -> None:
    """Of whole runs it changes no volume, but what the network is told of their times."""
    planted = plant("time", n_people=4)
    table = tmp_path / "labels.tsv"
    files = sorted((planted / "series").glob("*.tsv"))
    write_table(table, {"run": [one.stem for one in files], "label": [*"abababab"]})
    own = replace(options, labels=str(table), steps=replace(options.steps, n_steps=2))
    decode(own, planted, tmp_path / "out")

    with pytest.raises(SettingsError, match="other ones: trials"):
        decode_series(files, tmp_path / "out", replace(own, resume=True), {"repetition_time": 2.0})


@pytest.mark.parametrize(
    ("labels", "people"), [("aabbab", "112233"), ("abababab", "12345667"), ("aabb", "1123")]
)
def test_shuffled_labels_leave_nobody_his_own(labels: str, people: str) -> None:
    """Those of several classes keep them in number; among the others every order comes."""
    given = np.array([*labels]).view(np.uint32).astype(np.intp)
    drawn = np.array([
        shuffle_labels(given, [*people], np.random.default_rng(k)) for k in range(60)
    ])  # fmt: skip

    assert (np.sort(drawn) == np.sort(given)).all()
    assert (drawn != given).any(axis=0).all()
    for one in {*people}:
        rows = np.array([*people]) == one
        if len({*given[rows]}) > 1:
            assert (np.sort(drawn[:, rows]) == np.sort(given[rows])).all()


def test_runs_that_name_nobody_are_refused(
    plant: Callable[..., Path], options: DecodingOptions, tmp_path: Path
) -> None:
    """They may be of a person whose other runs are learned from."""
    planted = plant("time", n_people=4)
    one = next((planted / "series").glob("*.tsv"))
    one.rename(one.with_name("somebody.tsv"))

    with pytest.raises(InputError, match="people are held out whole; found none in somebody"):
        decode(with_events(options, planted), planted, tmp_path / "out")


def test_events_and_labels_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="found neither"):
        DecodingOptions()
    with pytest.raises(SettingsError, match="found both"):
        DecodingOptions(events=tmp_path, labels="x")
    with pytest.raises(SettingsError, match="--folds of 2"):
        DecodingOptions(labels="x", n_folds=1)
