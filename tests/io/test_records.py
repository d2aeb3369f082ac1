"""One record, in a table, beside it and in a sidecar."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import Facts, read_table
from kraken_bids.io.records import (
    OPTIONAL,
    column,
    from_columns,
    from_sidecar,
    keys_of,
    name_columns,
    remove_records,
    replace_records,
    to_sidecar,
    write_records,
)
from kraken_bids.io.texts import read_json


@dataclass(frozen=True)
class Whose:
    """Whose row it is."""

    name: str = column(at_end=True)


@dataclass(frozen=True)
class Motion:
    """Head motion."""

    mean_fd: float | None = column("mm")
    n_left_out: int | None = column(key="VolumesLeftOut", in_table=False)
    verdict: str = column(levels={"ok": "still"}, default="ok")
    inner: object = None


def test_a_record_is_a_row_whose_columns_are_described(tmp_path: Path) -> None:
    """In the order of the fields, except for what stands last; plain fields are in no file."""
    path = tmp_path / "motion.tsv"
    write_records(
        path,
        (Whose, Motion),
        [(Whose("a"), Motion(0.5, 3)), (Whose("b"), Motion())],
        description="x",
    )
    assert path.read_text() == "mean_fd\tverdict\tname\n0.5\tok\ta\nn/a\tok\tb\n"
    assert read_json(tmp_path / "motion.json") == {
        "Description": "x",
        "mean_fd": {"Description": "mm"},
        "verdict": {"Levels": {"ok": "still"}},
    }
    assert from_columns(Whose, read_table(path, texts=("name",))) == [Whose("a"), Whose("b")]
    remove_records(path)
    assert not list(tmp_path.iterdir())


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    """So that whoever reads it finds them."""
    write_records(tmp_path / "motion.tsv", [Motion], [], description="x")
    assert (tmp_path / "motion.tsv").read_text() == "mean_fd\tverdict\n"


def test_a_table_of_an_earlier_run_goes_where_nothing_replaces_it(tmp_path: Path) -> None:
    """Table and sidecar are written with rows, and both removed without."""
    path = tmp_path / "motion.tsv"
    replace_records(path, [Motion], [[Motion(0.5, 3)]], description="x")
    assert path.read_text() == "mean_fd\tverdict\n0.5\tok\n"
    assert read_json(tmp_path / "motion.json")["Description"] == "x"

    replace_records(path, [Motion], [], description="x")
    assert not list(tmp_path.iterdir())


def test_a_record_comes_back_from_a_sidecar() -> None:
    """By kind; what is not known is left out, and what is of another kind is not known."""
    record = Motion(0.5, 3)
    content = to_sidecar(record)
    assert content == {"MeanFD": 0.5, "VolumesLeftOut": 3, "Verdict": "ok"}
    assert from_sidecar(Motion, Facts(content)) == record
    assert to_sidecar(Motion()) == {"Verdict": "ok"}
    odd = from_sidecar(Motion, Facts({"MeanFD": "x", "VolumesLeftOut": 0.5}))
    assert (odd.mean_fd, odd.n_left_out, odd.verdict) == (None, None, "")


@dataclass(frozen=True)
class Scan:
    """A record without columns."""

    volumes: tuple[int, ...]
    mu: float | None
    lambda_: float | None = field(metadata=OPTIONAL)
    runs: tuple[Motion, ...]


def test_a_record_without_columns_gives_all_its_fields() -> None:
    """None stands there unless the field is optional; records in it follow their own rule."""
    content = to_sidecar(Scan((2, 3), None, None, (Motion(0.5), Motion())))
    assert list(content) == ["Volumes", "Mu", "Runs"]
    assert content["Volumes"] == [2, 3]
    assert content["Mu"] is None
    assert content["Runs"] == [{"MeanFD": 0.5, "Verdict": "ok"}, {"Verdict": "ok"}]
    assert to_sidecar(Scan((), 1.0, 0.1, ()))["Lambda"] == 0.1


def test_records_of_one_sidecar_follow_each_other() -> None:
    """A later record of the same key has the last word."""
    assert to_sidecar(Whose("a"), Motion(0.5), Motion(0.25)) == {
        "Name": "a",
        "MeanFD": 0.25,
        "Verdict": "ok",
    }


@dataclass(frozen=True)
class Measurement:
    """What may be known."""

    name: str = column()
    note: str = column(default="")
    reason: str | None = column()
    count: int | None = column()
    value: float = column()


def test_what_a_table_does_not_know_comes_back_as_nothing(tmp_path: Path) -> None:
    """None where a field may be that, an empty text else; other numbers stay NaN."""
    path = tmp_path / "table.tsv"
    rows = [Measurement("a", "x", "y", 3, 0.5), Measurement("b", "", None, None, math.nan)]
    write_records(path, [Measurement], [[one] for one in rows], description="")
    numbers, texts = name_columns(Measurement)
    assert (numbers, texts) == (["count", "value"], ["name", "note", "reason"])
    first, second = from_columns(Measurement, read_table(path, numbers=numbers, texts=texts))
    assert first == rows[0]
    assert (second.note, second.reason, second.count) == ("", None, None)
    assert math.isnan(second.value)


@pytest.mark.parametrize("cell", [np.inf, np.nan])
def test_a_count_that_is_none_is_refused_by_its_column(cell: float) -> None:
    """A damaged table must not end the page that shows it."""

    @dataclass(frozen=True)
    class Counted:
        n: int = column()

    with pytest.raises(InputError, match="expected a count in the column n"):
        from_columns(Counted, {"n": np.array([cell])})


@dataclass(frozen=True)
class Seen:
    """What is listed, and whether it holds."""

    file_names: tuple[str, ...] = column()
    other_names: tuple[str, ...] | None = column()
    is_usable: bool = column()


def test_lists_of_texts_and_truths_are_read_back() -> None:
    """What is of another kind counts as none of them."""
    seen = Seen(("a", "b"), None, True)
    assert to_sidecar(seen) == {"FileNames": ["a", "b"], "IsUsable": True}
    assert from_sidecar(Seen, Facts(to_sidecar(seen))) == Seen(("a", "b"), (), True)
    assert from_sidecar(Seen, Facts({"FileNames": "a", "IsUsable": 1})) == Seen((), (), False)


def test_keys_are_attributes_of_the_fields_names() -> None:
    """A name that is no field of the record is an error where it is used."""
    assert keys_of(Motion).mean_fd == "MeanFD"
    assert keys_of(Motion).n_left_out == "VolumesLeftOut"
    with pytest.raises(AttributeError, match="mean_dvars"):
        _ = keys_of(Motion).mean_dvars
