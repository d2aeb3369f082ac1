"""List what is installed as CycloneDX: ``python scripts/write_sbom.py FOLDER``.

Everything in the environment that runs this, with versions, licences and what needs what, in
``kraken_bids-VERSION.cdx.json``. In the image: ``/opt/venv/bin/python`` as ``--python``.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from kraken_bids import __version__

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write the list of an environment's packages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default=sys.executable, help="of the environment  [this one]")
    words = parser.parse_args()
    words.folder.mkdir(parents=True, exist_ok=True)
    path = words.folder / f"kraken_bids-{__version__}.cdx.json"
    command = ["-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON"]
    own = ["--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"]
    subprocess.run(  # noqa: S603 - the words are ours
        [sys.executable, *command, *own, "--output-file", str(path), words.python], check=True
    )
    print(path)  # noqa: T201


if __name__ == "__main__":
    main()
