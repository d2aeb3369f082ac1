"""The reference's answers on real connectomes; needs ../shared/conformance."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.commands.predict import predict

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "conformance"
TOLERANCE = 1e-5

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the conformance data (../shared/conformance) are not here"
)


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize("mode", ["none", "meanfit+meanshift"])
def test_every_answer_of_the_reference_is_reproduced(tmp_path: Path, mode: str) -> None:
    """Every key, to 1e-5 of its array's largest absolute value."""
    checkpoint, transforms = next(FOLDER.glob("*.pt")), next(FOLDER.glob("kraken_ioxfm*.npy"))
    words = ["--model", checkpoint, "--transforms", transforms]
    words += ["--input", FOLDER / "connectomes_newsite12.npz", "--adaptation_mode", mode]
    words += ["--sources", "fusion", "fusionSC", "fusionFC", "SCifod2act_fs86_volnorm"]
    words += ["--output", tmp_path / "out.npz", "--device", "cpu"]

    result = CliRunner().invoke(predict, [str(word) for word in words])

    assert result.exit_code == 0, result.output
    actual = read(tmp_path / "out.npz")
    expected = read(FOLDER / f"expected_newsite12_adapt-{mode}.npz")
    assert set(expected) <= set(actual)
    for key in expected:
        scale = np.abs(expected[key]).max()
        assert np.abs(actual[key] - expected[key]).max() <= TOLERANCE * scale, key
    given = read(FOLDER / "connectomes_newsite12.npz")["subjects"]
    assert actual["subjects"].tolist() == given.tolist()
