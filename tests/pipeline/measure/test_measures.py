"""What ``data/measures.tsv`` lists is computed."""

from types import SimpleNamespace

import numpy as np
import pytest

from kraken_bids.cohort.measurements import FunctionalRecord
from kraken_bids.connectome.structural.streamline_counts import METRICS, EdgeCounter
from kraken_bids.flavors import Flavor, list_flavors
from kraken_bids.pipeline.measure.bold_runs import MeasuredRun
from kraken_bids.pipeline.measure.functional_connectomes import compute_connectome
from kraken_bids.pipeline.measure.tasks import MEASURES

FLAVORS = list_flavors(["fs86"])


def compute(flavor: Flavor) -> np.ndarray:
    series = np.random.default_rng(1).standard_normal((200, 86))
    run = SimpleNamespace(cleaned={"fs86": series}, kept=np.ones(200, bool))
    record = FunctionalRecord(200, None, None, 86, 0.0, None, ())
    found = compute_connectome(
        flavor, [run], np.zeros(86, bool), cleaning=None, record=record, ridges=({}, {})
    )
    return found.square


@pytest.mark.parametrize("flavor", [f for f in FLAVORS if f.group == "FC"], ids=str)
def test_every_functional_measure_is_computed(flavor: Flavor) -> None:
    """Each from its own cleaning; no two measures of one cleaning give the same numbers."""
    run = MeasuredRun(*(SimpleNamespace(gsr=None) for _ in range(4)))
    others = [f for f in FLAVORS if f.processing == flavor.processing and f != flavor]

    assert run.cleaned(flavor) in (run.plain, run.gsr)
    assert not any(np.array_equal(compute(flavor), compute(f)) for f in others)


@pytest.mark.parametrize("flavor", [f for f in FLAVORS if f.group == "SC"], ids=str)
def test_every_structural_measure_is_computed(flavor: Flavor) -> None:
    """From a tractography that is known, by a metric that the app counts."""
    counter = EdgeCounter(np.ones(2, int), 1.0, is_weighted=True)

    assert flavor.measure in MEASURES.values()
    assert flavor.processing in METRICS
    assert counter.connectome(flavor.processing, units="mrtrix").shape == (2, 2)


def test_a_measure_that_nothing_computes_is_no_correlation() -> None:
    """A row in the table alone must not write one measure's numbers under another's name."""
    with pytest.raises(NotImplementedError, match="FCnew_fs86_hpf"):
        compute(Flavor("FCnew", "fs86", "hpf"))
    with pytest.raises(KeyError):
        MeasuredRun(*(SimpleNamespace(gsr=None) for _ in range(4))).cleaned(
            Flavor("FCcorr", "a", "new")
        )
