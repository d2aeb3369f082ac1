"""Label images that were found for a session's BOLD runs."""

from kraken_bids.bids.inputs import SessionInputs
from kraken_bids.bids.label_images import LabelImage


def labels_of(session: SessionInputs) -> dict[tuple[str, str], LabelImage]:
    """(BOLD space, parcellation) to its label image; of the first dataset if of several."""
    return {
        (run.space, name): image
        for run in reversed(session.bold_runs)
        for name, image in run.labels.items()
    }
