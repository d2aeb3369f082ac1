"""The statements of ``test_same_numbers.py`` under each of OpenBLAS's kernels for x86."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

SAME_NUMBERS = Path(__file__).with_name("test_same_numbers.py")


@pytest.mark.parametrize("kernel", ["Haswell", "SkylakeX", "Sandybridge", "Nehalem"])
def test_numbers_hang_on_nobody_else_under_each_kernel(kernel: str, tmp_path: Path) -> None:
    """A machine of another kind keeps the same promise; each kernel runs in its own process.

    Zen processors take Haswell's kernels.
    """
    if not any(library["internal_api"] == "openblas" for library in threadpool_info()):
        pytest.skip("numpy multiplies with another library than OpenBLAS here")
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"]
    command += ["-k", "not torch and not cuda"]  # which multiply with libraries of their own
    done = subprocess.run(
        [*command, str(SAME_NUMBERS), f"--basetemp={tmp_path / 'inner'}"],
        env={**os.environ, "OPENBLAS_CORETYPE": kernel},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode < 0:
        pytest.skip(f"this processor lacks the instructions of the kernel {kernel}")

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
