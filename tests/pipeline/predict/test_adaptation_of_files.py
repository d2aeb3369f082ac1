"""Which adaptation predictions from files get."""

from pathlib import Path

import pytest

from kraken_bids.cohort.projections import Cohort, Projected
from kraken_bids.exceptions import SettingsError
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.predict.adaptation_of_files import choose_for_files
from kraken_bids.pipeline.predict.prediction_options import PredictionOptions


def test_people_to_fit_on_beside_an_adaptation_that_is_fitted_are_refused(model: Model) -> None:
    """They would change nothing: only one by site has sites to add."""
    options = PredictionOptions(adaptation=Path("site.h5"), adaptation_subjects=("01",))
    with pytest.raises(SettingsError, match=r"--adaptation-subjects.*site\.h5.*fitted already"):
        choose_for_files(
            options,
            model,
            Projected(Cohort((), {}), {}),
            given=Adaptation("", "meanshift", {}),
            project=pytest.fail,
        )


def test_sessions_are_no_further_subjects(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    """Two sessions each of five people are the five that auto takes for too few."""
    labels = tuple(f"{person:02d}_ses-{session}" for person in range(5) for session in (1, 2))
    cohort = Projected(Cohort(labels, {}), {}, frozenset(range(10)))
    found = choose_for_files(PredictionOptions(), model, cohort, given=None, project=pytest.fail)
    assert found is None
    assert "5 subjects are too few to fit an adaptation" in caplog.text
