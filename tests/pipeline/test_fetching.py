"""``kraken-tools fetch``: words to files, the list, the terms, the way by hand."""

import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from kraken_bids.bids.label_images import explain_absent_atlas
from kraken_bids.cli.tools import main
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.pipeline import fetching as fetch
from kraken_bids.pipeline.fetching import describe_files, fetch_files, list_wanted
from kraken_bids.published.cache import PublishedFile
from kraken_bids.published.models import (
    list_atlas_files,
    list_model_files,
    list_published,
    list_published_flavors,
)
from kraken_bids.published.transfers import Patience

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
QUICK = Patience(silence=1.0, rounds=1, pause=0.0)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder."""

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KRAKEN_BIDS_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def atlases(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[PublishedFile, ...]]:
    """Two label images that a server on this machine publishes."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    served = tmp_path / "served"
    served.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served)) as server:
        published = []
        for name in ("one.nii.gz", "two.nii.gz"):
            (served / name).write_text(name)
            url = f"http://127.0.0.1:{server.server_port}/{name}"
            sha256 = hashlib.sha256(name.encode()).hexdigest()
            published.append(PublishedFile(name, (url,), sha256, len(name), f"terms {name}"))
        monkeypatch.setattr(fetch, "list_atlas_files", lambda: tuple(published))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield tuple(published)
        server.shutdown()
        thread.join()


def test_words_stand_for_files(cache: Path) -> None:
    """model, pretrained, atlases, flavors and file names, in any mixture, each file once."""
    model = list_wanted(["model"])
    assert [one.file for one in model] == list(list_model_files())
    assert list_wanted(["pretrained", "model", "FCcorr_fs86_hpf"]) == model
    assert {one.folder for one in model} == {cache / "models"}
    assert [one.path.parent for one in list_wanted(["atlases"])] == [cache / "atlases"] * 8
    count = [one.file.name for one in list_wanted(["SCifod2act_fs86_count"])]
    assert [name.split("_")[1] for name in count] == ["chkpt", "ioxfm"]
    assert [one.file.name for one in list_wanted([count[1]])] == [count[1]]
    assert len(list_wanted([])) == len(list_published()) + len(list_atlas_files())


def test_unknown_words_are_refused(cache: Path) -> None:
    """With the words that there are; so is no word."""
    with pytest.raises(SettingsError, match=r"expected model, atlases, .* found 'brain'"):
        list_wanted(["brain"])
    with pytest.raises(SettingsError, match="expected what to fetch"):
        list(fetch_files([]))


def test_every_published_label_image_is_registered() -> None:
    """The message about an absent atlas names the command and the address."""
    published = {file.name: file for file in list_atlas_files()}
    for name in list_parcellations():
        parcellation = load_parcellation(name)
        if parcellation.image:
            message = explain_absent_atlas(parcellation)
            assert "kraken-tools fetch atlases" in message
            assert published[parcellation.image].urls[0] in message
    for file in published.values():
        assert len(file.sha256) == 64
        assert file.size
        assert file.licence


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the facts are not at {SHARED}")
def test_the_registries_are_the_facts() -> None:
    """Names, addresses in their order, and SHA-256 of all published files, flavors and atlases."""
    facts = json.loads((SHARED / "facts/published_model_files.json").read_text())
    flavors = json.loads((SHARED / "facts/published_flavors.json").read_text())
    table = (SHARED / "atlases/README.md").read_text()
    rows = re.findall(r"^\| `(\S+)` \|.*\| ([0-9a-f]{64}) \|$", table, re.MULTILINE)

    known = {file.name: (list(file.urls), file.sha256) for file in list_published().values()}
    assert known == {fact["filename"]: (fact["url"], fact["hash"]) for fact in facts}
    assert {file.name: file.sha256 for file in list_atlas_files()} == dict(rows)
    assert set(list_published_flavors()) == set(flavors)
    for name, fact in flavors.items():
        needed = [file.name for file in list_model_files(name)]
        assert needed[0] == fact["checkpoint"]
        assert fact["xform"] in needed


def test_the_cerebellum_of_coco439_is_non_commercial(cache: Path) -> None:
    """The list says so, and so does the download before it starts."""
    assert any(
        "cocommpsuit439" in line and "NON-COMMERCIAL" in line and "SUIT" in line
        for line in describe_files(["atlases"])
    )
    first = next(line for line in fetch_files(["atlases"]) if "cocommpsuit439" in line)
    assert "NON-COMMERCIAL" in first


def test_files_are_fetched_once(cache: Path, atlases: tuple[PublishedFile, ...]) -> None:
    """Terms, then a line per file; the second time they were here."""
    lines = list(fetch_files(["atlases"], QUICK))
    again = list(fetch_files(["atlases"], QUICK))

    assert lines[:2] == ["terms of one.nii.gz: terms one.nii.gz", *again[1:2]]
    assert [line.split()[0] for line in lines[2:]] == ["downloaded", "downloaded"]
    assert all("was here" in line and "verified" in line for line in again[2:])
    assert (cache / "atlases/two.nii.gz").read_text() == "two.nii.gz"


def test_the_list_tells_states_apart(cache: Path, atlases: tuple[PublishedFile, ...]) -> None:
    """Missing, begun, damaged and here."""
    folder = cache / "atlases"
    folder.mkdir(parents=True)

    def states() -> list[str]:
        return [line.split()[0] for line in describe_files(["atlases"])][1:3]

    assert states() == ["missing", "missing"]
    (folder / "one.nii.gz").write_text("one.nii.gz")
    (folder / ".two.nii.gz.part").write_text("two")
    assert states() == ["here", "begun"]
    (folder / "two.nii.gz").write_text("two.nii.zz")
    assert states() == ["here", "damaged"]


def test_the_list_tells_sizes(cache: Path) -> None:
    """In MB or kB; of files whose size nobody has published, a question mark."""
    rows = {line.split()[-1]: line for line in describe_files([])}

    assert re.match(
        r"missing +494\.0 MB  model ", rows["kraken_ioxfm_SCFC_coco439_pc256_710train.npy"]
    )
    assert re.match(r"missing +2\.8 kB  atlases ", rows["atlas-fs86_dseg.tsv"])
    assert re.match(r"missing +\? MB  model ", rows[list_model_files()[0].name])


def test_one_failure_tells_about_the_rest(
    cache: Path, atlases: tuple[PublishedFile, ...], tmp_path: Path
) -> None:
    """Who has no network learns all addresses and places at once."""
    (tmp_path / "served/one.nii.gz").unlink()

    with pytest.raises(InputError, match="HTTP 404") as caught:
        list(fetch_files(["atlases"], QUICK))

    own, rest = str(caught.value).split("Not fetched either:")
    for file, text in zip(atlases, (own, rest), strict=True):
        assert file.urls[0] in text
        assert str(cache / "atlases" / file.name) in text


def test_a_model_in_the_root_of_the_cache_counts(cache: Path) -> None:
    """Where it is found, it is looked after."""
    cache.mkdir()
    file = list_model_files()[0]
    (cache / file.name).write_text("half a file")

    lines = list(describe_files(["model"]))

    assert [line.split()[0] for line in lines[1:5]] == ["damaged", *["missing"] * 3]


def test_the_command(cache: Path, atlases: tuple[PublishedFile, ...]) -> None:
    """Lines on the terminal; an unknown word ends with exit code 2."""
    runner = CliRunner()

    listed = runner.invoke(main, ["fetch", "--list"])
    assert listed.exit_code == 0
    assert listed.output.count("\n") >= len(list_published()) + 2
    fetched = runner.invoke(main, ["fetch", "atlases"])
    assert fetched.exit_code == 0
    assert fetched.output.count("downloaded") >= 2
    assert runner.invoke(main, ["fetch", "brain"]).exit_code == 2


def test_fetching_needs_no_torch() -> None:
    """The command answers at once, and on machines that only download."""
    code = "import sys, kraken_bids.pipeline.fetching; print('torch' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert printed.strip() == "False"
