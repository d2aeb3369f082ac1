"""What commands say before and after they train networks: what is missing, and the scores."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kraken_bids.exceptions import SettingsError

if TYPE_CHECKING:
    from kraken_bids.models.decoding_records import DecodingScore

GO_ON = "What was found is kept: the same command with --resume goes on from there."


def check_paths(named: Iterable[Path | None], output: Path) -> None:
    """Refuse inputs that are not there, and a file in place of a folder to write.

    Raises
    ------
    SettingsError
    """
    missing = [path for path in named if path is not None and not path.exists()]
    if missing:
        raise SettingsError(f"expected files or folders; found nothing at {missing[0]}.")
    if output.is_file():
        raise SettingsError(f"expected --output DIR; found the file {output}.")


def print_scores(scores: Sequence["DecodingScore"], output: Path) -> None:
    """Print a line for each method, and where the rest is."""
    for one in scores:
        gain = f"  over linear {one.over_linear:+.3f}" if one.over_linear is not None else ""
        click.echo(
            f"{one.method:11} accuracy {one.accuracy:.3f} ({one.accuracy_low:.3f} to "
            f"{one.accuracy_high:.3f})  balanced {one.balanced_accuracy:.3f}{gain}"
        )
    click.echo(str(output))
