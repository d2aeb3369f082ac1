"""A release says one version everywhere, and its image holds what is needed, by digest."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LISTS = ("image.txt", "torch.txt", "build.txt")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def list_pins(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of digests of each package of a list."""
    blocks = re.split(r"\n(?=\w)", read(f"requirements/{name}").partition("\n")[2])
    found = {}
    for block in blocks:
        package, _, version = block.split(maxsplit=1)[0].partition("==")
        found[package.lower().replace("_", "-")] = version, block.count("--hash=sha256:")
    return found


def test_the_release_that_is_worked_on_has_one_number() -> None:
    """In the fallback of the version, the citation, the descriptor and the image's label."""
    fallback = PROJECT["tool"]["hatch"]["version"]["raw-options"]["fallback_version"]
    release = fallback.removesuffix(".dev0")

    assert f"\nversion: {release}\n" in read("CITATION.cff")
    assert json.loads(read("boutiques.json"))["tool-version"] == release
    assert f'ARG VERSION="{fallback}"' in read("Dockerfile")


@pytest.mark.parametrize("name", LISTS)
def test_every_pin_has_its_version_and_digests(name: str) -> None:
    """None without either."""
    pins = list_pins(name)

    assert len(pins) >= 5
    assert [
        one for one, (version, n_digests) in pins.items() if not version or not n_digests
    ] == []


def test_the_image_holds_what_the_package_needs() -> None:
    """The requirements of the package and of the image's extra."""
    needed = PROJECT["project"]["dependencies"]
    needed = needed + PROJECT["project"]["optional-dependencies"]["communities"]
    names = {re.match(r"[\w-]+", one)[0].lower().replace("_", "-") for one in needed}
    pinned = list_pins("image.txt") | list_pins("torch.txt")

    assert names - set(pinned) == set()
    built = {re.match(r"[\w-]+", one)[0] for one in PROJECT["build-system"]["requires"]}
    assert built - set(list_pins("build.txt")) == set()


def test_torch_is_of_one_version_everywhere() -> None:
    """In constraints, image, definition file and digests."""
    (version, _) = list_pins("torch.txt")["torch"]

    for name in ("constraints.txt", "Dockerfile", "singularity.def"):
        assert f"torch=={version}" in read(name), name


@pytest.mark.parametrize("label", ["version", "revision", "source", "licenses", "title"])
def test_the_image_is_labelled(label: str) -> None:
    """As the Open Container Initiative names it."""
    assert f"org.opencontainers.image.{label}=" in read("Dockerfile")


def list_installed(folder: Path, *words: str) -> dict:
    """Read what the script writes."""
    command = [sys.executable, str(ROOT / "scripts/write_sbom.py"), str(folder), *words]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    (path,) = folder.glob("kraken_bids-*.cdx.json")
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_list_of_what_is_installed_is_cyclonedx(tmp_path: Path) -> None:
    """Of an environment of one package, which belongs to this one."""
    venv.create(tmp_path / "env")
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (packages / "alone-1.2.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: alone\nVersion: 1.2\n"
    (packages / "alone-1.2.dist-info" / "METADATA").write_text(metadata)

    content = list_installed(tmp_path, "--python", str(tmp_path / "env/bin/python"))

    assert content["bomFormat"] == "CycloneDX"
    assert content["metadata"]["component"]["name"] == PROJECT["project"]["name"]
    assert [(one["name"], one["version"]) for one in content["components"]] == [("alone", "1.2")]


@pytest.mark.slow
def test_the_list_of_this_environment_has_what_the_package_needs(tmp_path: Path) -> None:
    """Hundreds of packages."""
    names = {one["name"] for one in list_installed(tmp_path)["components"]}

    assert {"numpy", "torch", "nibabel"} <= names


def build(folder: Path, *options: str) -> None:
    """Build from a copy without ``.git``, so that nothing is written into this checkout."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__", "_version.py")
    shutil.copytree(ROOT / "kraken_bids", source / "kraken_bids", ignore=ignored)
    command = [sys.executable, "-m", "build", *options, "--outdir", str(folder / "dist")]
    environment = {**os.environ, "SETUPTOOLS_SCM_PRETEND_VERSION": "7.8.9"}
    subprocess.run([*command, str(source)], check=True, capture_output=True, env=environment)


def check(folder: Path, *options: str) -> list[str]:
    """Install the wheel of a folder away from here, and give what it answers."""
    command = [sys.executable, str(ROOT / "scripts/check_wheel.py"), str(folder / "dist")]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_a_wheel_works_away_from_the_checkout(tmp_path: Path) -> None:
    """Built through an sdist, installed alone, asked for its version, tables and templates."""
    build(tmp_path, "--no-isolation")
    said = check(tmp_path)

    assert said[0].endswith("7.8.9")
    assert any(line.endswith("-> 439") for line in said)


@pytest.mark.slow
def test_a_wheel_installs_from_nothing(tmp_path: Path) -> None:
    """Without constraints: pip fetches what builds it, and what the wheel says that it needs."""
    build(tmp_path, "--wheel")

    assert check(tmp_path, "--from-nothing")[0].endswith("7.8.9")
