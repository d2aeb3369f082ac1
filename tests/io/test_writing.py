"""Files are whole or absent, and come back as they were."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra.numpy import arrays

from kraken_bids.bids.output_dataset import (
    write_dataset_description,
    write_region_tables,
)
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.files import atomic_path
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json, write_relmat, write_table, write_text
from kraken_bids.parcellations import load_parcellation


def test_atomic_path(tmp_path: Path) -> None:
    """The file appears at the end of the block, in a folder that is made; nothing else is left."""
    path = tmp_path / "a/b/c.txt"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".")
        assert ".tmp" in temporary.name
        temporary.write_text("x")
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["c.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    """An error in the block leaves the old file as it was, and no other."""
    path = tmp_path / "c.txt"
    path.write_text("old")

    def break_off() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        break_off()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["c.txt"]


def test_nothing_under_the_final_name_after_a_kill(tmp_path: Path) -> None:
    """A killed process leaves at most a dot file."""
    code = f"""
        import os, signal
        from pathlib import Path
        from kraken_bids.io.files import atomic_path
        with atomic_path(Path({str(tmp_path / "c.txt")!r})) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert all(p.name.startswith(".") for p in tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A full disk says what was not written and what to do; nothing half-written is left."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(InputError, match=r"full, so c\.txt was not written\. Free some space"):
        write_text(tmp_path / "c.txt", "x" * 10_000)
    assert not list(tmp_path.iterdir())


def test_full_disk_as_hdf5_reports_it(tmp_path: Path) -> None:
    """The HDF5 library says it in words."""
    words = "Can't write data (errno = 28, error message = 'No space left on device')"

    def refuse() -> None:
        with atomic_path(tmp_path / "c.h5"):
            raise OSError(words)

    with pytest.raises(InputError, match="full"):
        refuse()


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """Other errors of writing name the path too."""
    (tmp_path / "a").touch()
    with pytest.raises(InputError, match=r"expected to write .*a.c\.txt"):
        write_text(tmp_path / "a/c.txt", "x")


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    """Files are readable by others as the user's umask has it, not private as temporary ones."""
    write_text(tmp_path / "c.txt", "x")
    (tmp_path / "d.txt").write_text("x")
    assert (tmp_path / "c.txt").stat().st_mode == (tmp_path / "d.txt").stat().st_mode


def test_json(tmp_path: Path) -> None:
    """Numbers of numpy, paths and NaN become plain JSON."""
    content = {"a": np.float32(1.5), "b": np.arange(2), "c": np.nan, "d": Path("x"), "e": ("ü",)}
    write_json(tmp_path / "c.json", content)
    expected = {"a": 1.5, "b": [0, 1], "c": None, "d": "x", "e": ["ü"]}
    assert read_json(tmp_path / "c.json") == expected


def test_table_round_trip(tmp_path: Path) -> None:
    """Columns of float32 come back exactly; None and NaN are n/a; text keeps to its cell."""
    values = np.random.default_rng(0).standard_normal(20).astype(np.float32) * 1e4
    values[3] = np.nan
    columns = {"x": values, "name": [f"a\tb{i}" for i in range(20)], "n": range(20)}
    write_table(tmp_path / "c.tsv", columns)
    back = read_columns(tmp_path / "c.tsv")
    np.testing.assert_array_equal(back["x"].astype(np.float32), values)
    assert back["name"][1] == "a b1"
    np.testing.assert_array_equal(back["n"], np.arange(20))
    write_table(tmp_path / "e.tsv", {"a": [None], "b": [True]})
    assert (tmp_path / "e.tsv").read_text() == "a\tb\nn/a\tTrue\n"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.float32, (5, 5)))
def test_relmat_round_trip(tmp_path: Path, square: np.ndarray) -> None:
    """Matrices come back to six digits, NaN and infinities included."""
    write_relmat(tmp_path / "m.tsv", square)
    back = read_relmat(tmp_path / "m.tsv")
    np.testing.assert_allclose(back, square.astype(np.float64), rtol=1e-5, atol=1e-44)


def test_relmat_layout(tmp_path: Path) -> None:
    """Tabs, no header, six digits, nan: what the published tools read."""
    write_relmat(tmp_path / "m.tsv", np.array([[1, 1 / 3], [np.nan, 1e-9]]))
    assert (tmp_path / "m.tsv").read_text() == "1\t0.333333\nnan\t1e-09\n"
    with pytest.raises(ConnectomeError, match="square"):
        write_relmat(tmp_path / "m.tsv", np.zeros((2, 3)))


def test_dataset_description(tmp_path: Path) -> None:
    """Links of earlier runs stay; a second run that changes nothing writes nothing."""
    options = {"name": "Krakencoder"}
    write_dataset_description(tmp_path, **options, sources={"fmriprep": tmp_path / "a b"})
    first = (tmp_path / "dataset_description.json").stat().st_mtime_ns
    write_dataset_description(tmp_path, **options, sources={"fmriprep": tmp_path / "a b"})
    assert (tmp_path / "dataset_description.json").stat().st_mtime_ns == first
    write_dataset_description(tmp_path, **options, sources={"qsirecon": tmp_path / "q"})
    content = read_json(tmp_path / "dataset_description.json")
    assert set(content["DatasetLinks"]) == {"fmriprep", "qsirecon"}
    assert content["DatasetLinks"]["fmriprep"] == (tmp_path / "a b").as_uri()
    assert content["GeneratedBy"][0]["Name"] == "kraken_bids"


def test_dataset_of_another_tool_is_left_alone(tmp_path: Path) -> None:
    """OUTPUT_DIR that is fMRIPrep's folder is refused."""
    content = {"Name": "x", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    (tmp_path / "dataset_description.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="fMRIPrep"):
        write_dataset_description(tmp_path, name="a", sources={})


def test_region_tables(tmp_path: Path) -> None:
    """One row per region, in the model's order."""
    fs86 = load_parcellation("fs86")
    write_region_tables(tmp_path, [fs86])
    table = read_columns(tmp_path / "atlas-fs86_dseg.tsv")
    assert list(table) == ["index", "name", "hemisphere", "group"]
    assert tuple(table["name"]) == fs86.region_names


def test_the_group_level_keeps_the_sources_of_the_participant_level(tmp_path: Path) -> None:
    """It reads OUTPUT_DIR alone; what that was measured from stays, each dataset once."""
    out = tmp_path / "out"
    one, two = ({"name": "x", "sources": {n: tmp_path / n}} for n in ("a", "b"))
    write_dataset_description(out, **one)
    write_dataset_description(out, name="x", sources={})
    write_dataset_description(out, **two)
    write_dataset_description(out, **one)

    found = read_json(out / "dataset_description.json")["SourceDatasets"]

    assert found == [{"URL": (tmp_path / name).as_uri()} for name in ("a", "b")]
    description = read_json(out / "dataset_description.json")
    itself = description | {"SourceDatasets": [{"URL": out.as_uri()}, *found]}
    (out / "dataset_description.json").write_text(json.dumps(itself))
    write_dataset_description(out, **one)
    assert read_json(out / "dataset_description.json")["SourceDatasets"] == found
