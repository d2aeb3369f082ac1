"""One session of one participant, with its measured connectomes; columns that say whose it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kraken_bids.bids.names import session_label
from kraken_bids.cohort.measurements import Measurement, read_measurement
from kraken_bids.cohort.sidecars import REDONE
from kraken_bids.flavors import Flavor
from kraken_bids.io.records import column


@dataclass(frozen=True)
class Member:
    """One session of one participant, with its measured connectomes."""

    subject: str
    session: str | None
    connectomes: Mapping[Flavor, Path]
    """Measured file of each flavor; the one that the model reads where there are several."""
    read_before: Mapping[Path, Measurement] = field(
        default_factory=dict, compare=False, repr=False
    )
    """What sidecars were found to say when the connectomes were listed."""
    repeats: Mapping[Flavor, Path] = field(default_factory=dict, compare=False, repr=False)
    """A further run's file of a flavor, beside the one in ``connectomes``."""

    @property
    def label(self) -> str:
        """``sub-01`` or ``sub-01_ses-1``."""
        return session_label(self.subject, self.session)

    @property
    def entities(self) -> dict[str, str]:
        """BIDS entities, for names of files."""
        return {"sub": self.subject} | ({"ses": self.session} if self.session else {})

    @cached_property
    def measurements(self) -> dict[Flavor, Measurement]:
        """What the sidecar of each measured file says, read once."""
        known = self.read_before
        return {
            flavor: known[path] if path in known else read_measurement(path)
            for flavor, path in self.connectomes.items()
        }

    @property
    def measured_digests(self) -> set[str]:
        """``RunDigest`` of each measured file, without the λ of the group level."""
        return {one.run_digest.partition(REDONE)[0] for one in self.measurements.values()}


@dataclass(frozen=True)
class Whose:
    """Whose row of a table it is."""

    participant_id: str = column()
    session_id: str | None = column()


def whose_row(member: Member) -> Whose:
    """Say whose row of a table it is."""
    return Whose(f"sub-{member.subject}", f"ses-{member.session}" if member.session else None)
