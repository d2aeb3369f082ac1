"""Opens the pages in headless Chromium, where it is installed."""

import json
import re
import shutil
import subprocess

import pytest

from kraken_bids.report.page import draw_figures, render_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason=f"no headless browser: none of {NAMES} is on PATH"
    ),
]
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update",
    "--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0",
    "--virtual-time-budget=8000", "--window-size=1400,1000",
)  # fmt: skip
# appended to a copy of the page: writes what the browser made of it into the title
PROBE = """<script>
window.addEventListener("load", () => {
  const images = [...document.images];
  document.title = "PROBE" + JSON.stringify({
    images: images.length,
    broken: images.filter(i => !i.complete || i.naturalWidth === 0).map(i => i.alt),
    foreign: images.filter(i => !i.src.startsWith("data:")).length,
    requests: performance.getEntriesByType("resource").map(e => e.name)
      .filter(name => !name.startsWith("data:")),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    contents: getComputedStyle(document.querySelector("nav") || document.body).position,
  }) + "END";
});
</script>"""


@pytest.fixture(scope="module")
def pages(participant_page, bare_page, group_page):
    return {
        "participant": render_page(participant_page, draw_figures(participant_page)),
        "bare": render_page(bare_page, draw_figures(bare_page)),
        "group": render_page(group_page, draw_figures(group_page)),
    }


def open_page(path, profile):
    """Return the page serialised after loading, and what the browser logged."""
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize("name", ["participant", "bare", "group"])
def test_page_opens_cleanly(pages, name, tmp_path):
    """No console message, broken image, request that leaves the file or sideways scrolling."""
    path = tmp_path / f"{name}.html"
    path.write_text(pages[name].replace("</body>", PROBE + "</body>"), encoding="utf-8")
    dom, log = open_page(path, tmp_path / "profile")
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []
    found = json.loads(
        re.search(r"<title>PROBE(.*?)END</title>", dom).group(1).replace("&amp;", "&")
    )
    assert found["images"] == pages[name].count("<img ")
    assert found["images"] > 0
    assert found["broken"] == []
    assert found["foreign"] == 0
    assert found["requests"] == []
    assert found["overflow"] <= 0
    assert found["contents"] == "sticky"  # the style sheet was read


def test_the_probe_sees_a_page_that_is_broken(tmp_path):
    """The test can fail: a broken image, a request and a console error are all noticed."""
    path = tmp_path / "broken.html"
    body = '<h1>x</h1><img src="missing.png" alt="gone"><script>console.error("spoken")</script>'
    path.write_text(f"<!DOCTYPE html><html><body>{body}{PROBE}</body></html>", encoding="utf-8")
    dom, log = open_page(path, tmp_path / "profile")
    found = json.loads(re.search(r"<title>PROBE(.*?)END</title>", dom).group(1))
    assert found["broken"] == ["gone"]
    assert found["foreign"] == 1
    assert any("CONSOLE" in line and "spoken" in line for line in log.splitlines())


SORT = """<script>
window.addEventListener("load", () => {
  const table = document.querySelector("table.people");
  const read = () => [...table.tBodies[0].rows].map(row => row.cells[2].textContent);
  const heads = table.tHead.rows[0].cells;
  heads[2].querySelector("button").click();
  const up = read(), state = heads[2].getAttribute("aria-sort");
  heads[2].querySelector("button").click();
  const down = read();
  heads[1].querySelector("button").click();
  const verdicts = [...table.tBodies[0].rows].map(row => row.cells[1].textContent);
  document.title = "PROBE" + JSON.stringify({up, down, state, verdicts}) + "END";
});
</script>"""


def test_a_click_on_a_heading_sorts_the_participants(pages, tmp_path):
    """Numbers as numbers, verdicts worst first, what is absent last."""
    path = tmp_path / "group.html"
    path.write_text(pages["group"].replace("</body>", SORT + "</body>"), encoding="utf-8")
    dom, log = open_page(path, tmp_path / "profile")
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []
    found = json.loads(re.search(r"<title>PROBE(.*?)END</title>", dom).group(1))
    ages = [str(20 + k) for k in range(12)]
    assert found["up"] == [*ages, "–"]
    assert found["down"] == [*ages[::-1], "–"]
    assert found["state"] == "ascending"
    assert found["verdicts"] == ["failed", *["good"] * 12]
