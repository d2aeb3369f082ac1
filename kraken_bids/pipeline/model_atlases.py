"""Atlases that a model was trained on and this package has no table of: their regions, checked."""

import logging
from collections.abc import Iterable
from pathlib import Path

from kraken_bids.bids.custom_atlases import read_region_table
from kraken_bids.bids.output_dataset import write_region_tables
from kraken_bids.bids.outputs import region_table_path
from kraken_bids.exceptions import CheckpointError
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.model_regions import (
    count_regions,
    describe_regions,
    list_own_regions,
)
from kraken_bids.parcellations import Parcellation, list_parcellations

logger = logging.getLogger(__name__)


def check_regions(model: Model, parcellations: Iterable[Parcellation]) -> None:
    """Check that custom atlases have the regions that a model was trained on, in their order.

    Raises
    ------
    CheckpointError
        If one has others, or as many in another order. A model that was trained without a table
        says only how many there are.
    """
    for parcellation in parcellations:
        name = parcellation.name
        wanted = list_own_regions(model).get(name)
        n_wanted = count_regions(model, name)
        if n_wanted is None:
            continue
        if n_wanted != parcellation.n_regions:
            raise CheckpointError(
                f"expected the {n_wanted} regions of {name} that {model.name} was trained on; "
                f"found {parcellation.n_regions}, {parcellation.description}. Give the atlas of "
                "the training, or call this one otherwise."
            )
        if wanted is None:
            logger.warning(
                "%s: %s does not say which regions it was trained on (kraken-tools train --atlas "
                "%s=TABLE.tsv keeps them): they are taken to be in the order of this atlas",
                name, model.name, name,
            )  # fmt: skip
            continue
        found = list(parcellation.region_names)
        if found != wanted:
            pairs = enumerate(zip(found, wanted, strict=False))
            place = next((k for k, (one, other) in pairs if one != other), len(wanted) - 1)
            raise CheckpointError(
                f"expected the regions of {name} in the order that {model.name} was trained on; "
                f"found {found[place]} in place {place + 1}, where it has {wanted[place]}. Give "
                "the atlas of the training with its table, or call this one otherwise."
            )


def prepare_regions(model: Model, output_dir: Path) -> None:
    """Check the regions of custom atlases in OUTPUT_DIR, and name those that are only predicted.

    Raises
    ------
    CheckpointError
        If they are not those that the model was trained on.
    InputError
        If a table cannot be read or written.
    """
    own = dict.fromkeys(flavor.parcellation for flavor in model.flavors)
    for name in (name for name in own if name not in list_parcellations()):
        table = region_table_path(output_dir, name)
        if table.exists():
            check_regions(model, [read_region_table(name, table)])
        else:
            write_region_tables(output_dir, describe_regions(model, [name]))
