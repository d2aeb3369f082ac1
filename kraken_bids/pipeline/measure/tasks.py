"""One session of one subject: the unit of work that travels to a worker."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids import __version__
from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.inputs import SessionInputs
from kraken_bids.bids.names import session_label
from kraken_bids.bids.uris import bids_uri
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import digest, file_stamps
from kraken_bids.parcellations import Parcellation, list_parcellations, load_parcellation
from kraken_bids.settings import Settings, to_plain

MEASURES = {"ifod2": "SCifod2act", "sdstream": "SCsdstream"}
"""What each algorithm of tractography gives."""


@dataclass(frozen=True)
class SessionTask:
    """What a worker needs to measure one session."""

    session: SessionInputs
    settings: Settings
    datasets: tuple[Dataset, ...]
    custom_atlases: Mapping[str, Parcellation] = field(default_factory=dict)
    """Regions of custom atlases; those of the model come with the package."""
    model_atlases: tuple[str, ...] = ()
    """Custom atlases that the model was trained on."""

    @property
    def label(self) -> str:
        """``sub-01`` or ``sub-01_ses-1``, for log lines."""
        return session_label(self.session.subject, self.session.session)

    def parcellation(self, name: str) -> Parcellation:
        """Regions of an atlas, the user's own or of the package."""
        return self.custom_atlases.get(name) or load_parcellation(name)

    def is_known(self, name: str) -> bool:
        """Whether a model may take connectomes of an atlas."""
        return name in list_parcellations() or name in self.model_atlases

    def wants(self, flavor: Flavor) -> bool:
        """Whether this run was asked to measure the flavor."""
        chosen = self.settings.data.flavors
        return not chosen or flavor in chosen

    def digest(self, stage: str, inputs: Iterable[Path | None], settings: object) -> str:
        """Digest of everything that a stage's results depend on."""
        own: list[object] = [
            (p.name, p.labels, p.region_names) for p in self.custom_atlases.values()
        ]
        own += ["header"] if self.settings.run.matrix_header else []
        stamps = file_stamps(inputs)
        return digest(stage, __version__, stamps, to_plain(settings), *([own] if own else []))

    def header(self, parcellation: str) -> tuple[str, ...]:
        """Names to write above a matrix of a parcellation; none unless they are asked for."""
        wanted = self.settings.run.matrix_header
        return self.parcellation(parcellation).region_names if wanted else ()

    def uris(self, paths: Iterable[Path]) -> list[str]:
        """``bids:`` URIs of input files, each once."""
        return list(dict.fromkeys(bids_uri(path, self.datasets) for path in paths))
