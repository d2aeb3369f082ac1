"""Install a wheel away from the checkout, and ask it: ``python scripts/check_wheel.py DIST``.

The libraries that it needs are those of the environment that runs this; ``--from-nothing`` lets
pip fetch them all, without constraints.
"""

import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ASKED = (
    ("kraken-bids", "--version"),
    ("kraken-tools", "--help"),
    ("kraken-tools", "qsirecon-spec", "spec.yaml"),
    ("python", "-c", "import kraken_bids as k; print(len(k.region_names('FCcorr_coco439_hpf')))"),
    ("python", "-c", "import kraken_bids.report.page, kraken_bids.pipeline.group"),
)
"""What has to answer; tables and templates of the package are read by these."""


def main() -> None:
    """Install the wheel of a folder, and run what has to answer."""
    (wheel,) = Path(sys.argv[1]).resolve().glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "venv"
        venv.create(place, with_pip=True)
        words = [str(place / "bin" / "pip"), "install", "--quiet", str(wheel)]
        if "--from-nothing" not in sys.argv:
            words.append("--no-deps")
            (site,) = place.glob("lib/python*/site-packages")
            libraries = sysconfig.get_path("purelib")
            # behind the own packages, and without what an editable install put into a .pth file
            (site / "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")
        subprocess.run(words, check=True)  # noqa: S603 - the words are ours
        for name, *rest in ASKED:
            done = subprocess.run(  # noqa: S603
                [str(place / "bin" / name), *rest],
                cwd=folder,
                env={"PATH": str(place / "bin"), "HOME": folder},
                check=True,
                capture_output=True,
                text=True,
            )
            print(name, *rest, "->", done.stdout.strip().partition("\n")[0])  # noqa: T201


if __name__ == "__main__":
    main()
