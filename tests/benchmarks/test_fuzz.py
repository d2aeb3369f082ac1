"""The fuzz suite: it finds what is planted, and finds nothing in the readers of the package."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kraken_bids.exceptions import InputError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
N_INPUTS = 6
"""Of each reader, and there are half a hundred of these."""
GIGABYTE = 1 << 30
forking = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def fail(path: Path) -> None:
    raise KeyError(path.name)


def exit_early(path: Path) -> None:
    os._exit(7)


def sleep(path: Path) -> None:
    time.sleep(60)


def allocate(path: Path) -> None:
    bytearray(2 * GIGABYTE)


def allocate_and_hide_it(path: Path) -> None:
    try:
        bytearray(2 * GIGABYTE)
    except MemoryError as error:
        raise InputError("expected a small file") from error


def refuse(path: Path) -> None:
    raise InputError("expected another file")


def accept(path: Path) -> None:
    path.read_bytes()


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the suite, which is no part of the package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from fuzz import cases, child, runner

    return SimpleNamespace(**vars(cases) | vars(child) | vars(runner))


def plant(fuzz: Any, read: Callable[[Path], None]) -> Any:
    """Make a reader that may do what the readers of the package must not."""
    seed = fuzz.Seed("a.tsv", b"a\tb\n1\t2\n")

    def read_damaged(path: Path) -> None:
        if path.read_bytes() != seed.content:  # a valid file must be read
            read(path)

    return fuzz.Reader("planted", lambda: [seed], read_damaged)


def run(fuzz: Any, folder: Path, read: Callable[[Path], None], n_inputs: int = 3) -> Any:
    limits = fuzz.Limits(seconds=0.05 if read is sleep else 5.0, n_bytes=GIGABYTE)
    found = fuzz.run_readers(
        [plant(fuzz, read)], folder=folder, n_inputs=n_inputs, seed=1, limits=limits
    )
    return dict(found)["planted"]


@forking
@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (fail, "KeyError"),
        (exit_early, "exit (7)"),
        (sleep, "hang"),
        (allocate, "MemoryError"),
        (allocate_and_hide_it, "over memory"),
    ],
)
def test_planted_faults_are_found(
    fuzz: Any, tmp_path: Path, read: Callable[[Path], None], kind: str
) -> None:
    """Each is named with its case and place, the next input is tried all the same."""
    tally = run(fuzz, tmp_path, read)
    assert [fault.kind for fault in tally.faults] == [kind] * 3
    assert [fault.case for fault in tally.faults] == [0, 1, 2]
    assert len(tally.list_distinct()) == 1
    assert (tally.n_inputs, tally.n_valid, tally.n_refused) == (3, 0, 0)
    assert "test_fuzz.py" in tally.faults[0].place or read is exit_early


@forking
def test_errors_of_ours_and_results_are_no_faults(fuzz: Any, tmp_path: Path) -> None:
    """What is refused and what is read are counted apart, and nothing is left behind."""
    refused, valid = run(fuzz, tmp_path, refuse, 20), run(fuzz, tmp_path, accept, 20)
    assert valid.n_valid == 20
    assert refused.n_refused == 20 - refused.n_valid > 10  # some damage changes nothing
    assert not refused.faults
    assert not valid.faults
    assert list(tmp_path.iterdir()) == []


@forking
def test_invalid_results_are_faults(fuzz: Any, tmp_path: Path) -> None:
    """A result without what it should have is one; so is a valid file that is refused."""
    tally = run(fuzz, tmp_path, lambda _path: fuzz.require(holds=False, what="a matrix of NaN"))
    assert [fault.kind for fault in tally.faults] == ["invalid: a matrix of NaN"] * 3
    reader = fuzz.Reader("planted", lambda: [fuzz.Seed("a.tsv", b"x")], refuse)
    with pytest.raises(fuzz.InvalidResultError, match=r"a\.tsv.*expected another file"):
        list(fuzz.run_readers([reader], folder=tmp_path, n_inputs=1, seed=1))


def test_a_case_is_made_again_by_its_number(fuzz: Any) -> None:
    """The same seed and number give the same bytes; others give others."""
    reader = plant(fuzz, accept)
    files = [fuzz.make_case(reader, number, 1)[1] for number in range(30)]
    assert files == [fuzz.make_case(reader, number, 1)[1] for number in range(30)]
    assert files != [fuzz.make_case(reader, number, 2)[1] for number in range(30)]
    assert len(set(files)) > 15


def test_a_case_is_done_again_with_its_traceback() -> None:
    """What was found is looked at by reader and number."""
    words = ["--reader", "relmat", "--case", "3"]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "bench_fuzz.py", *words],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith("relmat, case 3: sub-01_relmat.dense.tsv")
    assert "valid" in done.stdout or "kraken_bids.exceptions" in done.stderr


def test_readers_give_valid_results_or_errors_of_ours() -> None:
    """A few damaged files for every reader; ``bench_fuzz.py`` alone gives each thousands."""
    words = ["--inputs", str(N_INPUTS), "--n-procs", "2"]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "bench_fuzz.py", *words],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if "|" in line][1:]
    assert len(rows) > 40
    assert all(int(n) == N_INPUTS == int(a) + int(b) for _, n, a, b, *_ in rows)
