"""Run the fast tests with the oldest, or the newest, versions of all libraries.

Run it from the repository with uv on the path. Every environment is made anew in a folder of
``build/versions`` (several GB: PyPI's torch comes with CUDA)::

    .venv/bin/python scripts/check_versions.py --lowest            # what pyproject.toml admits
    .venv/bin/python scripts/check_versions.py --python 3.13       # the newest of everything

Words behind ``--`` are pytest's, instead of the fast parts. Warnings are shown and fail nothing:
those of other versions are not ours to mend. Ends with pytest's exit code.
"""

import argparse
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("cluster", "communities", "nipype")
TOOLS = ("boutiques", "hypothesis", "pytest", "pytest-xdist")
"""Of the extra dev; always the newest that go with what is tested."""
TOOLS_OF_NEWEST = ("mat-io",)
"""They ask for newer libraries than the oldest; their tests skip without them."""
FAST = ("io", "connectome", "bids", "models", "scores", "cohort", "cli", "pipeline/predict")
"""Folders of tests."""


def main() -> None:
    """Make the environment, say what is in it, run the tests."""
    arguments = parse_arguments()
    name = f"{arguments.python}-{'lowest' if arguments.lowest else 'newest'}"
    place = arguments.folder.resolve() / name
    python = make_environment(place, arguments.python, is_lowest=arguments.lowest)
    tests = arguments.tests or [f"tests/{folder}" for folder in FAST]
    words = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "filterwarnings=default",
        *tests,
    ]
    done = subprocess.run(  # noqa: S603 - the words are ours
        [str(python), *words], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    )
    sys.exit(done.returncode)


def make_environment(place: Path, version: str, *, is_lowest: bool) -> Path:
    """Install requirements and test tools; returns the environment's Python."""
    place.parent.mkdir(parents=True, exist_ok=True)
    run("venv", "--clear", "--quiet", "--python", version, str(place))
    python = place / "bin" / "python"
    pins = place / "pins.txt"
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    resolution = "lowest-direct" if is_lowest else "highest"
    words = ["--resolution", resolution, "--no-header", "--no-annotate", *extras]
    found = run(
        "pip", "compile", "--quiet", "--python", str(python), *words, str(ROOT / "pyproject.toml")
    )
    pins.write_text(found, encoding="utf-8")
    tools = TOOLS if is_lowest else (*TOOLS, *TOOLS_OF_NEWEST)
    held = ["-r", str(pins), "-c", str(pins)]
    run("pip", "install", "--quiet", "--python", str(python), *held, *tools)
    listed = " ".join(line for line in found.split() if is_direct(line))
    print(f"{place.name}: {listed}", flush=True)  # noqa: T201
    return python


def is_direct(pin: str) -> bool:
    """Whether a pinned package is one that ``pyproject.toml`` names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [
        *project["dependencies"],
        *(one for e in EXTRAS for one in project["optional-dependencies"][e]),
    ]
    names = {re.split(r"[^\w-]", one)[0].replace("_", "-") for one in listed}
    return pin.partition("==")[0] in names


def run(*words: str) -> str:
    """Run uv; returns what it says, and ends with its error."""
    done = subprocess.run(  # noqa: S603
        ["uv", *words],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"uv {' '.join(words)}: {done.stderr}")
    return done.stdout


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", default="3.11", help="version [3.11]")
    parser.add_argument("--lowest", action="store_true", help="the oldest instead of the newest")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "versions")
    parser.add_argument("tests", nargs="*", help="words of pytest [the fast parts]")
    return parser.parse_args()


if __name__ == "__main__":
    main()
