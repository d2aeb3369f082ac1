"""``boutiques.json`` is what the options of ``kraken-bids`` make, and a valid descriptor."""

import importlib.util
import json
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kraken_bids.cli.app import main as app

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "write_descriptor.py"
if not SCRIPT.exists():
    pytest.skip("the repository's scripts are not here", allow_module_level=True)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_descriptor", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def descriptor() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "boutiques.json").read_text(encoding="utf-8"))
    return found


def test_the_file_has_the_options_of_today(script: ModuleType, descriptor: dict[str, Any]) -> None:
    """Else: python scripts/write_descriptor.py."""
    assert descriptor == script.describe_app()
    named = {one["id"] for one in descriptor["inputs"]} | set(script.LEFT_OUT)
    assert named >= {parameter.name for parameter in app.params}


def test_the_command_line_has_every_input_once(descriptor: dict[str, Any]) -> None:
    """Positional ones first, since options of several values take what follows them."""
    words = descriptor["command-line"].split()
    assert words == ["kraken-bids", *(one["value-key"] for one in descriptor["inputs"])]
    has_flag = ["command-line-flag" in one for one in descriptor["inputs"]]
    assert has_flag == sorted(has_flag)
    assert sum(not flag for flag in has_flag) == 3
    assert not any("default-value" in one for one in descriptor["inputs"])


def test_boutiques_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own validator, and the command that it makes of an invocation."""
    pytest.importorskip("boutiques", reason="needs boutiques: pip install 'kraken_bids[dev]'")
    from boutiques import bosh

    path = str(ROOT / "boutiques.json")
    bosh(["validate", path])
    invocation = tmp_path / "invocation.json"
    asked = {
        "bids_dir": str(tmp_path),
        "output_dir": "out",
        "level": "participant",
        "participant_label": ["01", "02"],
        "high_pass": 0.02,
        "force": True,
    }
    invocation.write_text(json.dumps(asked))
    bosh(["exec", "simulate", path, "-i", str(invocation)])
    line = capsys.readouterr().out.strip().splitlines()[-1]
    assert shlex.split(line) == [
        *("kraken-bids", str(tmp_path), "out", "participant"),
        *("--participant-label", "01", "02", "--high-pass", "0.02", "--force"),
    ]


def test_the_examples_use_options_that_there_are(descriptor: dict[str, Any]) -> None:
    """The invocation for nipoppy names inputs; the arguments for BABS are options."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which the extra cluster brings")
    folder = ROOT / "examples" / "nipoppy"
    texts = {name: (folder / f"{name}.json").read_text() for name in ("config", "invocation")}
    asked, config = json.loads(texts["invocation"]), json.loads(texts["config"])
    known = {one["id"]: one for one in descriptor["inputs"]}
    assert set(asked) <= set(known)
    assert all(
        isinstance(value, list) == known[k].get("list", False) for k, value in asked.items()
    )
    assert config["VERSION"] == descriptor["tool-version"]
    assert all(f"[[{name}]]" in texts["invocation"] for name in config["VARIABLES"])
    options = {word for parameter in app.params for word in parameter.opts}
    arguments = yaml.safe_load((ROOT / "examples/babs/kraken_bids.yaml").read_text())
    names = set(arguments["bids_app_args"]) - {"$SUBJECT_SELECTION_FLAG"}
    assert names <= options
