"""Write ``boutiques.json``, the Boutiques descriptor of ``kraken-bids``, from its options.

Run it from the repository after an option was added or changed: ``python
scripts/write_descriptor.py``. A test compares the file with what this makes.
"""

import json
from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.app import main as app
from kraken_bids.cli.options import ListOption

DESCRIPTOR = Path(__file__).resolve().parents[1] / "boutiques.json"
LEFT_OUT = ("version", "help", "verbose")
POSITIONAL = {
    "bids_dir": ("BIDS dataset", "Raw dataset with derivatives/, or a derivatives dataset."),
    "output_dir": ("Output dataset", "Folder of the BIDS derivatives dataset that is written."),
    "level": ("Analysis level", "participant measures and predicts; group adapts to everyone."),
}
Descriptor = dict[str, Any]


def read_release() -> str:
    """Release that is described: the one of ``CITATION.cff``, whatever commit this is."""
    lines = (DESCRIPTOR.parent / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("version:"))


def describe_app() -> Descriptor:
    """Describe the command as the Boutiques schema 0.5 has it."""
    inputs = [
        describe_input(parameter) for parameter in app.params if parameter.name not in LEFT_OUT
    ]
    keys = [one["value-key"] for one in inputs]
    return {
        "name": "kraken_bids",
        "description": "The Krakencoder as a BIDS App: connectomes from fMRIPrep and MRtrix "
        "outputs, translated between structure and function.",
        "tool-version": read_release(),
        "schema-version": "0.5",
        "command-line": " ".join(["kraken-bids", *keys]),
        "inputs": inputs,
        "output-files": [
            {
                "id": "output_dataset",
                "name": "Output dataset",
                "description": "BIDS derivatives: connectomes, predictions, latents, reports.",
                "path-template": "[OUTPUT_DIR]",
            }
        ],
        "tags": {"domain": ["neuroinformatics", "neuroimaging", "fmri", "dwi", "bids-app"]},
        "url": "https://github.com/kraken-bids/kraken_bids",
        "tool-doi": "10.1038/s41592-025-02706-2",
    }


def describe_input(parameter: click.Parameter) -> Descriptor:
    """Describe one argument or option."""
    name = str(parameter.name)
    found: Descriptor = {"id": name, "value-key": f"[{name.upper()}]", **_describe_type(parameter)}
    if name in POSITIONAL:
        title, words = POSITIONAL[name]
        return {**found, "name": title, "description": words, "optional": False}
    assert isinstance(parameter, click.Option)
    flag = next(word for word in parameter.opts if word.startswith("--"))
    found |= {"name": flag.removeprefix("--").replace("-", " "), "command-line-flag": flag}
    found |= {"description": parameter.help, "optional": True}
    if isinstance(parameter, ListOption):
        found |= {"list": True, "list-separator": " "}
    # no default-value: bosh would put it on the command line, where it beats --config-file
    default = parameter.to_info_dict()["default"]
    if found["type"] != "Flag" and default not in {None, (), ""}:
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        found["description"] += f" Default: {shown}."
    return found


def _describe_type(parameter: click.Parameter) -> Descriptor:
    kind = parameter.type
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return {"type": "Flag"}
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        found: Descriptor = {"type": "Number"}
        if isinstance(kind, click.types.IntParamType):
            found["integer"] = True
        for key, value in (("minimum", "min"), ("maximum", "max")):
            if getattr(kind, value, None) is not None:
                found[key] = getattr(kind, value)
        return found
    if isinstance(kind, click.Choice):
        return {"type": "String", "value-choices": list(kind.choices)}
    # a folder that is to be made is no File, which must be there
    is_file = isinstance(kind, click.Path) and parameter.name not in {"output_dir", "work_dir"}
    return {"type": "File" if is_file else "String"}


if __name__ == "__main__":
    DESCRIPTOR.write_text(
        json.dumps(describe_app(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
