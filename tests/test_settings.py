"""Settings are checked when they are made."""

from pathlib import Path

import pytest

from kraken_bids.exceptions import FlavorError, SettingsError
from kraken_bids.flavors import parse_flavor
from kraken_bids.run_settings import RunSettings
from kraken_bids.settings import (
    DataSettings,
    FunctionalSettings,
    PredictionSettings,
    Settings,
    StructuralSettings,
    to_plain,
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FunctionalSettings(denoise="magic"), "--denoise"),
        (lambda: FunctionalSettings(min_coverage=1.5), "--min-coverage"),
        (lambda: FunctionalSettings(pcorr_lambda={"fs86": -1.0}), "--pcorr-lambda fs86"),
        (lambda: StructuralSettings(search_radius=-4), "--search-radius"),
        (lambda: PredictionSettings(adaptation_mode="x"), "--adaptation-mode"),
        (lambda: RunSettings(n_procs=0), "--n-procs"),
        (lambda: DataSettings(Path("a"), Path("b"), atlases=("aal",)), "aal"),
        (lambda: DataSettings(Path("a"), Path("a")), "same folder"),
    ],
)
def test_settings_out_of_range_name_their_option(make, words):
    """A value that cannot be meant is a usage error that names the option."""
    with pytest.raises(SettingsError, match=words):
        make()


def test_sources_are_fusions_or_flavors():
    """A source that is neither is refused."""
    assert PredictionSettings(sources=("fusion", "FCcorr_fs86_hpf")).sources[0] == "fusion"
    with pytest.raises(FlavorError, match="fusionXX"):
        PredictionSettings(sources=("fusionXX",))


def test_settings_become_plain_values():
    """Paths and flavors become strings, so that a file or a digest can hold them."""
    flavor = parse_flavor("FCcorr_fs86_hpf")
    plain = to_plain(Settings(DataSettings(Path("in"), Path("out"), flavors=(flavor,))))

    assert plain["data"]["bids_dir"] == "in"
    assert plain["data"]["flavors"] == ["FCcorr_fs86_hpf"]
