"""Make the documentation site of the pages in ``docs/``: MkDocs calls these functions.

Pages that the code knows better (commands, files written) are made while the site is built; links to
files outside ``docs/`` lead to the repository; formulas become MathML, so that no script draws them.
"""

import html
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
import commands_page
import notebook_page
import outputs_page

ROOT = Path(__file__).resolve().parents[2]
BLOB = "https://github.com/kraken-bids/kraken_bids/blob/main"
OUTSIDE = {
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "benchmarks.md": "benchmarks/README.md",
}
"""Pages of the site that lie elsewhere in the repository."""
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are generated, and those that lie outside ``docs/``."""
    made = {
        "reference/commands.md": commands_page.write_page(),
        "outputs/files.md": outputs_page.write_page(),
        "decisions/index.md": _list_decisions(),
    }
    for path in sorted((ROOT / "docs" / "tutorials").glob("*.ipynb")):
        made[f"tutorials/{path.stem}.md"] = notebook_page.write_page(path)
    made |= {name: (ROOT / path).read_text(encoding="utf-8") for name, path in OUTSIDE.items()}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Lead links to files that are no pages of the site to the repository."""
    source = page.file.src_uri
    place = (ROOT / OUTSIDE.get(source, f"docs/{source}")).parent
    parts = re.split(r"(^ *```.*?^ *```[^\n]*$)", markdown, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [
        LINK.sub(lambda found: _lead(found, source, place, files), part) for part in parts[::2]
    ]
    return "".join(parts)


def on_page_content(html: str, **_: Any) -> str:
    """Turn formulas into MathML."""
    return FORMULA.sub(_to_mathml, html)


def _list_decisions() -> str:
    rows = []
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        rows.append(f"- [{title}]({path.name})\n")
    return f"# Decisions\n\nWhy things are as they are: half a page each.\n\n{''.join(rows)}"


def _lead(found: re.Match[str], source: str, place: Path, files: Files) -> str:
    start, link, anchor, end = found.groups()
    if re.match(r"[a-z]+:", link):
        return found[0]
    target = (place / link).resolve()
    if not target.is_relative_to(ROOT):
        raise PluginError(f"{source}: the link {link} leaves the repository")
    inside = target.relative_to(ROOT).as_posix()
    pages = {path: name for name, path in OUTSIDE.items()}
    name = pages.get(inside, inside.removeprefix("docs/") if inside.startswith("docs/") else None)
    if name is not None and files.get_file_from_path(name):
        up = "../" * source.count("/")
        return f"{start}{up}{name}{anchor or ''}{end}"
    if not target.exists():
        raise PluginError(f"{source}: the link {link} leads nowhere")
    return f"{start}{BLOB}/{inside}{end}"


def _to_mathml(found: re.Match[str]) -> str:
    text = html.unescape(found[2]).strip()
    latex = re.sub(r"^(\\\(|\\\[)|(\\\)|\\\])$", "", text).replace("{aligned}", "{align*}")
    is_block = found[1] == "div"
    made = convert(latex, display="block" if is_block else "inline").replace("\\_", "_")
    if "<mi>&</mi>" in made or "\\" in re.sub(
        r"<annotation.*?</annotation>", "", made, flags=re.DOTALL
    ):
        raise PluginError(f"a formula that cannot be drawn: {latex}")
    return f'<div class="formula">{made}</div>' if is_block else made
