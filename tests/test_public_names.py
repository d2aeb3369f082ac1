"""What ``import kraken_bids`` offers."""

import doctest
import subprocess
import sys

import numpy as np
import pytest

import kraken_bids


@pytest.mark.parametrize("name", kraken_bids.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    """The names that are promised are there, each with a docstring."""
    assert getattr(kraken_bids, name).__doc__


@pytest.mark.parametrize("name", kraken_bids.__all__)
def test_examples_run(name: str) -> None:
    """What a docstring shows is what happens."""
    found = doctest.DocTestFinder(recurse=False).find(
        getattr(kraken_bids, name), name, globs={"kraken_bids": kraken_bids, "np": np}
    )
    runner = doctest.DocTestRunner()
    for example in found:
        runner.run(example)

    assert runner.summarize().failed == 0


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="unheard_of"):
        _ = kraken_bids.unheard_of


@pytest.mark.parametrize("module", ["kraken_bids", "kraken_bids.cli.app", "kraken_bids.cli.tools"])
def test_start_up_imports_nothing_heavy(module: str) -> None:
    """Help, version and a wrong path answer without torch, nilearn, pybids or matplotlib."""
    heavy = (
        *("torch", "nilearn", "bids", "matplotlib", "scipy", "nibabel", "pandas", "sklearn"),
        "numpy",
    )
    code = f"import sys, {module}; print([n for n in {heavy!r} if n in sys.modules])"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert printed.strip() == "[]"


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("pipeline.model_files", ("torch", "scipy", "pandas", "matplotlib")),
        ("pipeline.run_status", ("torch", "scipy", "kraken_bids.report", "kraken_bids.models")),
        ("pipeline.measure.tractogram_tool", ("torch", "scipy", "kraken_bids.bids.inputs")),
        ("pipeline.measure.bold_tool", ("torch", "pandas", "kraken_bids.models")),
    ],
)
def test_a_single_command_imports_what_it_needs(module: str, unneeded: tuple[str, ...]) -> None:
    """What describe, status, sc and fc begin with; libraries follow where they compute."""
    code = f"import sys, kraken_bids.{module}; print([n for n in {unneeded} if n in sys.modules])"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert printed.strip() == "[]"
