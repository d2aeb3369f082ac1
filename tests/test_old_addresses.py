"""Scripts that import what has moved since find it at the old address."""

from kraken_bids.bids import transforms
from kraken_bids.io import itk_transforms
from kraken_bids.model.formats import checkpoint as old_checkpoint
from kraken_bids.models.krakencoder import checkpoint, training
from kraken_bids.training import fit


def test_old_addresses_lead_to_the_new() -> None:
    """The same functions, not copies."""
    assert old_checkpoint.write_model is checkpoint.write_model
    assert fit.train_model is training.train_model
    assert transforms.read_transform is itk_transforms.read_transform
