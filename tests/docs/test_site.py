"""The site builds without a warning, leads nowhere else, and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADING = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src")}


class Links(HTMLParser):
    """Addresses that a page has, and anchors that it offers."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: set[str] = set()
        self.linked: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag loads, links to and is called."""
        for name, value in attrs:
            if value is None:
                continue
            if (tag, name) in LOADING:
                self.loaded.add(value)
            elif tag == "a" and name == "href":
                self.linked.add(value)
            elif name == "id":
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, where warnings are errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--config-file", str(ROOT / "mkdocs.yml"), "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    """Every page, read."""
    found = {}
    for path in site.rglob("*.html"):
        found[path] = Links()
        found[path].feed(path.read_text(encoding="utf-8"))
    return found


def test_every_link_inside_leads_to_a_page_and_a_place_on_it(pages: dict[Path, Links]) -> None:
    """Files exist, and anchors are on them."""
    wrong = []
    for path, links in pages.items():
        for link in links.linked | links.loaded:
            if re.match(r"[a-z]+:|//", link) or path.name == "404.html":
                continue
            name, _, anchor = unquote(link).partition("#")
            target = (path.parent / name).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            is_there = target.exists() and (
                not anchor or target not in pages or anchor in pages[target].anchors
            )
            wrong += [] if is_there else [f"{path.name}: {link}"]

    assert len(pages) > 60
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Links]) -> None:
    """Neither scripts nor fonts nor pictures: pages open without a network."""
    loaded = {link for links in pages.values() for link in links.loaded}

    assert {one for one in loaded if re.match(r"(https?:)?//", one)} == set()


def test_formulas_are_drawn(site: Path) -> None:
    """As MathML, with none left as it was typed."""
    text = (site / "worth.html").read_text(encoding="utf-8")

    assert text.count("<math ") > 50
    assert "arithmatex" not in text
    assert "<mtable" in text


def test_public_names_are_on_the_page_of_python(pages: dict[Path, Links]) -> None:
    """Each name that ``import kraken_bids`` offers has its place."""
    import kraken_bids

    (page,) = [links for path, links in pages.items() if path.match("reference/python.html")]
    places = {one.rpartition(".")[-1] for one in page.anchors}

    assert set(kraken_bids.__all__) - places == set()
