"""Runs of many files as one file of rows: order, scaling, repetition times, what is refused."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.alike_series import check_alike
from kraken_bids.cohort.series_store import SeriesStore, gather_series
from kraken_bids.cohort.volume_times import VolumeTimes
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.series.data_description import SeriesData
from tests.io.test_sample_tars import write_tar

NAMES = ("A", "B", "C")
RECIPE = {"Denoising": "fmriclean", "HighPass": 0.01}


def simulate(n_volumes: int = 30, n_regions: int = 3, seed: int = 0) -> NDArray[np.float64]:
    return 100 + 5 * np.random.default_rng(seed).standard_normal((n_volumes, n_regions)).round(6)


def write_run(
    folder: Path,
    subject: str,
    values: NDArray[np.float64],
    names: tuple[str, ...] = NAMES,
    **facts: Any,
) -> Path:
    path = folder / f"sub-{subject}" / "func" / f"sub-{subject}_task-rest_atlas-abc_desc-hpf"
    path = path.with_name(f"{path.name}_timeseries.tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, dict(zip(names, values.T, strict=True)))
    write_json(sidecar_path(path), {"RepetitionTime": 2.0, **RECIPE, **facts})
    return path


def gather(words: list[Any], folder: Path, **options: Any) -> SeriesStore:
    return gather_series(words, folder / "store", **options)


def test_a_folder_becomes_z_scored_runs_of_which_volumes_that_do_not_count_are_0(
    tmp_path: Path,
) -> None:
    values, kept = simulate(), np.arange(30) > 2
    values[1] = 1e6  # must not move mean and deviation
    write_run(tmp_path, "01", values, VolumesKept=kept.astype(int))
    write_run(tmp_path, "02", simulate(12, seed=1))
    store = gather([tmp_path], tmp_path)
    counted = values[3:]
    expected = np.where(kept[:, None], (values - counted.mean(axis=0)) / counted.std(axis=0), 0)
    np.testing.assert_allclose(store.values(0), expected, atol=1e-5)
    np.testing.assert_array_equal(store.kept(0), kept)
    assert store.values(1).shape == (12, 3)
    assert [(run.subject, run.task, run.start) for run in store.runs] == [
        ("01", "rest", 0), ("02", "rest", 30),
    ]  # fmt: skip
    assert store.data.regions == NAMES
    found = store.data
    np.testing.assert_allclose(found.means, 0, atol=1e-12)
    np.testing.assert_allclose(found.deviations, 1)
    assert (found.atlas, found.repetition_times, found.cleaning) == ("abc", (2.0,), RECIPE)
    assert SeriesData.from_json(found.to_json()) == found
    assert not list((tmp_path / "store").iterdir())  # nothing is left behind


def test_what_sidecars_say_of_times_goes_with_each_run(tmp_path: Path) -> None:
    """Seconds between volumes, the moment that each stands for, and volumes that were cut out."""
    write_run(tmp_path, "01", simulate(4), StartTime=0.9, VolumeTiming=[0, 2, 6.0, 8])
    write_run(tmp_path, "02", simulate(4))
    write_run(tmp_path, "03", simulate(4), StartTime="n/a", VolumeTiming=[0, 2])
    found = [(run.n_volumes, run.times) for run in gather([tmp_path], tmp_path).runs]
    assert found == [(5, VolumeTimes(0.9)), (4, VolumeTimes()), (4, VolumeTimes())]


@pytest.mark.parametrize("normalization", ["zscore", "none"])
def test_volumes_that_were_cut_out_are_volumes_that_do_not_count(
    tmp_path: Path, normalization: str
) -> None:
    """So the others lie where they were acquired; the run is that of which they are censored."""
    values, cut = simulate(9), [2, 3, 6]
    there = [k for k in range(9) if k not in cut]
    times = [2.0 * k for k in there]
    write_run(
        tmp_path / "a", "01", values[there], VolumeTiming=times, VolumesKept=[1, 0, *[1] * 4]
    )
    counted = [int(k not in {1, *cut}) for k in range(9)]
    write_run(tmp_path / "b", "01", values, VolumesKept=counted)

    found, wanted = (
        gather([tmp_path / name], tmp_path, normalization=normalization) for name in "ab"
    )

    np.testing.assert_array_equal(found.kept(0), wanted.kept(0))
    np.testing.assert_allclose(found.values(0), wanted.values(0), atol=1e-6)
    assert found.data.means == pytest.approx(wanted.data.means, abs=1e-12)


def test_times_of_another_unit_leave_their_run_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run(tmp_path, "01", simulate(4), VolumeTiming=[0, 2000, 4000, 6000.0])
    write_run(tmp_path, "02", simulate(4))
    with caplog.at_level(logging.WARNING):
        store = gather([tmp_path], tmp_path)
    assert [run.subject for run in store.runs] == ["02"]
    assert "4 of 3001 volumes are there, by VolumeTiming" in caplog.text


def test_short_runs_and_missing_regions_are_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run(tmp_path, "01", simulate(9))
    lacking = simulate()
    lacking[:, 1] = np.nan
    write_run(tmp_path, "02", lacking)
    flat = simulate()
    flat[:, 2] = 7
    write_run(tmp_path, "03", flat)
    rest = simulate()
    rest[:, 2] *= 1e-15  # what rounding leaves of a region that a regression took away
    write_run(tmp_path, "05", rest)
    with pytest.raises(ConnectomeError, match=r"found none|9 of 9 volumes count.*no values in B"):
        gather([tmp_path], tmp_path, shortest=10)
    write_run(tmp_path, "04", simulate(10))
    with caplog.at_level(logging.WARNING):
        store = gather([tmp_path], tmp_path, shortest=10)
    assert [run.subject for run in store.runs] == ["04"]
    for words in ("9 of 9 volumes count, at least 10 must", "values in B", "variation in C"):
        assert words in caplog.text


def test_a_damaged_header_is_said_with_its_file(tmp_path: Path) -> None:
    path = write_run(tmp_path, "01", simulate())
    path.write_text(path.read_text().replace("A\tB", "A\tA"))
    with pytest.raises(InputError, match=r"header of different names in .*sub-01"):
        gather([tmp_path], tmp_path)


def test_a_repetition_time_is_never_guessed(tmp_path: Path) -> None:
    np.save(tmp_path / "sub-01.npy", simulate())
    with pytest.raises(InputError, match="give --repetition-time SECONDS"):
        gather([tmp_path / "sub-01.npy"], tmp_path)
    store = gather([tmp_path / "sub-01.npy"], tmp_path, repetition_time=0.72)
    assert (store.runs[0].repetition_time, store.runs[0].subject) == (0.72, "01")
    assert "given" in store.data.repetition_time_rule
    path = write_run(tmp_path, "02", simulate())
    with pytest.raises(InputError, match=r"--repetition-time 0.72.*found 2 s"):
        gather([path], tmp_path, repetition_time=0.72)
    write_json(sidecar_path(path), {"RepetitionTime": 2000.0})
    with pytest.raises(InputError, match=r"in seconds.*found 2000"):
        gather([path], tmp_path)


def test_regions_are_put_into_the_order_of_a_model_by_their_names(tmp_path: Path) -> None:
    values = simulate()
    write_run(tmp_path / "a", "01", values)
    model = gather([tmp_path / "a"], tmp_path).data
    write_run(tmp_path / "b", "01", values[:, [2, 0, 1]], ("C", "A", "B"))
    turned = gather([tmp_path / "b"], tmp_path)
    with pytest.raises(ConnectomeError, match=r"found C in place of A \(region 1\)"):
        check_alike(turned.data, model)
    ordered = gather([tmp_path / "b"], tmp_path, like=model)
    np.testing.assert_array_equal(ordered.values(0), gather([tmp_path / "a"], tmp_path).values(0))
    write_run(tmp_path / "c", "01", values, ("A", "B", "D"))
    with pytest.raises(ConnectomeError, match="found none called C"):
        gather([tmp_path / "c"], tmp_path, like=model)


def test_columns_that_a_model_does_not_know_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run(tmp_path / "a", "01", simulate())
    model = gather([tmp_path / "a"], tmp_path).data
    values = np.c_[simulate(), simulate()[::-1, :2]]
    write_run(tmp_path / "b", "02", values, ("A", "B", "C", "D", "motion"))
    store = gather([tmp_path / "b"], tmp_path, like=model)
    assert store.data.regions == ("A", "B", "C")
    assert "left out: columns of no region of the model: D, motion" in caplog.text


def test_unnamed_columns_are_a_models_only_where_the_user_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, "01", simulate())
    model = gather([tmp_path], tmp_path).data
    np.save(tmp_path / "sub-02.npy", simulate())
    words = [tmp_path / "sub-02.npy"]
    with pytest.raises(ConnectomeError, match="those of abc: --atlas abc"):
        gather(words, tmp_path, like=model, repetition_time=2.0)
    assert (
        gather(words, tmp_path, like=model, repetition_time=2.0, atlas="abc").data.atlas == "abc"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"atlas": "fs86"}, "expected series of fs86.*found abc"),
        ({"n_regions": 4, "regions": ()}, "expected 4 regions"),
        ({"normalization": "none"}, "--normalization none"),
        ({"repetition_times": (0.72,)}, r"learned from \(0.72 s\); found 2 s"),
        ({"deviations": (50.0, 50.0, 50.0)}, "on the scale"),
    ],
)
def test_series_of_another_kind_are_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    write_run(tmp_path, "01", simulate())
    store = gather([tmp_path], tmp_path)
    check_alike(store.data, store.data)
    with pytest.raises(ConnectomeError, match=words):
        check_alike(store.data, replace(store.data, **change))


def test_samples_of_a_tar_stay_as_they_are_and_keep_their_labels(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((11, 4)).astype(np.float32)
    key = "ds-X_sub-01_ses-2_task-motor_run-1_sample_000"
    path = write_tar(
        tmp_path / "a.tar",
        {
            f"{key}.bold.pyd": values,
            f"{key}.t_r.pyd": np.float32(0.72),
            f"{key}.task_label.pyd": np.int32(3),
            f"{key}.task_name": b"motor",
        },
    )
    store = gather([path], tmp_path)
    np.testing.assert_array_equal(store.values(0), values)
    (run,) = store.runs
    assert (run.subject, run.session, run.task) == ("X-01", "2", "motor")
    assert run.labels == {"task_label": "3", "task_name": "motor"}
    assert run.repetition_time == 0.72
    loud = write_tar(
        tmp_path / "b.tar",
        {"sub-01.bold.pyd": 100 * values, "sub-01.t_r.pyd": np.float32(0.72)},
    )
    with pytest.raises(ConnectomeError, match="expected z-scored series"):
        gather([loud], tmp_path)
    other = write_tar(
        tmp_path / "c.tar",
        {"sub-02.bold.pyd": values[:, :3], "sub-02.t_r.pyd": np.float32(0.72)},
    )
    with pytest.raises(ConnectomeError, match="expected 4 regions"):
        gather([path, other], tmp_path)
    again = tmp_path / "d.tar"
    again.write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=r"different names.*Leave one tar out"):
        gather([path, again], tmp_path)


def test_a_folder_that_cannot_be_written_to_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    path = write_run(tmp_path, "01", simulate())
    monkeypatch.setattr("kraken_bids.cohort.series_store.NamedTemporaryFile", refuse)
    with pytest.raises(InputError, match="may be written to"):
        gather([path], tmp_path)


def count_mapped() -> int:
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs /proc")
    return Path("/proc/self/maps").read_text(encoding="utf-8").count(".series-")


def test_pages_of_a_run_are_let_go_with_its_array(tmp_path: Path) -> None:
    for k in range(3):
        np.save(tmp_path / f"sub-{k}.npy", simulate(5000, 200, k))
    store = gather(sorted(tmp_path.glob("*.npy")), tmp_path, repetition_time=2.0)
    values = [store.values(k) for k in range(3)]
    assert count_mapped() == 3
    del values
    assert count_mapped() == 0


def test_runs_of_any_number_may_be_held_at_once(tmp_path: Path) -> None:
    """And trials of one run, though every mapped part holds a file open."""
    values = np.random.default_rng(0).standard_normal((700, 5, 3)).astype(np.float32)
    np.save(tmp_path / "sub-01.npy", values)
    store = gather([tmp_path / "sub-01.npy"], tmp_path, repetition_time=2.0, normalization="none")
    held = [store.values(k)[start:] for k in range(700) for start in (0, 2)]
    assert count_mapped() <= 256
    for k in range(700):
        np.testing.assert_array_equal(held[2 * k], values[k])
        np.testing.assert_array_equal(held[2 * k + 1], values[k, 2:])
    del held
    assert count_mapped() == 0
