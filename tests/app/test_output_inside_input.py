"""OUTPUT_DIR may lie inside BIDS_DIR; what is written there is no input of a later run."""

import json
from typing import Any

import pytest

from kraken_bids.io.texts import read_json

pytestmark = pytest.mark.usefixtures("without_pictures")

FLAVORS = ("FCcorr_fs86_hpf",)
MEASURED = "meas-FCcorrHPF_relmat"


@pytest.mark.parametrize(
    ("layout", "inside"),
    [
        ("raw", "kraken"),
        ("raw", "derivatives/kraken"),
        ("derivatives", "kraken"),
        ("derivatives", "out/kraken"),
    ],
)
def test_output_inside_the_dataset(app: Any, layout: str, inside: str) -> None:
    """Both levels, twice, forced too: as outside, from the dataset's files alone."""
    app.copy_bids("03")
    given = app.bids if layout == "raw" else app.fmriprep
    assert app.invoke(given, app.out, "participant", *app.options(FLAVORS)).exit_code == 0
    outside = app.sidecar("03", MEASURED)
    named = read_json(app.out / "dataset_description.json")["SourceDatasets"]

    app.out = given / inside
    for words in ((), (), ("--force",)):
        outcome = app.invoke(given, app.out, "participant", *app.options(FLAVORS), *words)
        assert outcome.exit_code == 0, outcome.output
        assert app.sidecar("03", MEASURED) == outside
        outcome = app.invoke(given, app.out, "group", *app.options(FLAVORS))
        assert outcome.exit_code == 0, outcome.output
        assert app.measured("03") == ["atlas-fs86_meas-FCcorrHPF"]

    found = read_json(app.out / "dataset_description.json")["SourceDatasets"]
    assert found == named
    sidecars = [path.read_text() for path in app.out.rglob("sub-*/**/*.json")]
    sources = {uri for text in sidecars for uri in json.loads(text).get("Sources", ())}
    assert any("desc-preproc_bold" in uri for uri in sources)
    ours = {uri for uri in sources if app.out.name in uri.partition("sub-")[0]}
    assert not {uri for uri in ours if not uri.startswith("bids::")}
