"""Pin what goes into the image, with the digests of every file: ``requirements/*.txt``.

Run it from the repository with uv on the path, and with the environment that the tests passed in
(``make test``): ``.venv/bin/python scripts/pin_requirements.py``. Versions are those of that
environment, so that the image holds what was tested. ``image.txt`` holds everything but torch and
its CUDA libraries, which are in ``torch.txt``; ``build.txt`` is what makes the wheel.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
PYTHON = "3.11"
"""Of the image's base."""
EXTRAS = ("cluster", "communities")
"""Of the image."""
OF_TORCH = re.compile(r"torch|triton|nvidia-|cuda-")
HEAD = "# Made by scripts/pin_requirements.py; do not edit.\n"
OPTIONS = ("--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate")


def main() -> None:
    """Write the three files."""
    project = ROOT / "pyproject.toml"
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    pinned = compile_pins([str(project), *extras])
    blocks = [one for one in pinned if not re.search(r"python_full_version >= '3\.1[2-9]", one)]
    torch = [one for one in blocks if OF_TORCH.match(one)]
    write("torch.txt", torch)
    write("image.txt", [one for one in blocks if one not in torch])
    with tempfile.TemporaryDirectory() as folder:
        needed = Path(folder) / "build.in"
        needed.write_text("\n".join(list_build_requirements(project)) + "\n", encoding="utf-8")
        write("build.txt", compile_pins([str(needed)]))


def compile_pins(words: list[str]) -> list[str]:
    """Resolve with the versions that are installed here; a block of lines for each package."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"
        names = {one.metadata["Name"]: one.version for one in distributions()}
        names.pop("kraken_bids", None)
        lines = [f"{name}=={version.partition('+')[0]}" for name, version in names.items()]
        pins.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = ["uv", "pip", "compile", *OPTIONS, "--python-version", PYTHON]
        found = subprocess.run(  # noqa: S603 - the words are ours
            [*command, "--constraint", str(pins), *words],
            capture_output=True,
            text=True,
            check=False,
        )
    if found.returncode:
        sys.exit(found.stderr)
    return re.split(r"\n(?=\w)", found.stdout.strip())


def list_build_requirements(project: Path) -> list[str]:
    """Read what ``[build-system]`` requires."""
    content = tomllib.loads(project.read_text(encoding="utf-8"))
    return list(content["build-system"]["requires"])


def write(name: str, blocks: list[str]) -> None:
    """Write one file."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_text(HEAD + "\n".join(blocks) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
