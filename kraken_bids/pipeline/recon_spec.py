"""The recon spec with which QSIRecon makes the tractograms that the published model expects."""

from importlib.resources import files
from pathlib import Path

from kraken_bids.exceptions import SettingsError
from kraken_bids.io.writing import write_text

SPECS = {False: "qsirecon_krakencoder.yaml", True: "qsirecon_krakencoder_singleshell.yaml"}
"""File in ``data/``, by whether the diffusion data have a single shell."""


def write_recon_spec(path: Path, *, is_single_shell: bool) -> None:
    """Write the recon spec as YAML.

    Parameters
    ----------
    path : Path
        Ends in ``.yaml``: QSIRecon reads ``.json`` as JSON.
    is_single_shell : bool
        Whether the diffusion data have one shell beside b = 0.

    Raises
    ------
    SettingsError
        If the path ends otherwise.
    """
    if path.suffix not in {".yaml", ".yml"}:
        raise SettingsError(
            f"expected a path that ends in .yaml, by which QSIRecon tells the format; "
            f"found {path}."
        )
    spec = files("kraken_bids").joinpath("data", SPECS[is_single_shell])
    write_text(path, spec.read_text(encoding="utf-8"))
