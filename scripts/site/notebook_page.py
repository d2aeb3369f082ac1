"""Write a notebook as a page: its words, its code, and what came out when it was run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BRANCH = "kraken-bids/kraken_bids/blob/main/docs/tutorials"
HOSTED = f"https://colab.research.google.com/github/{BRANCH}"


def write_page(path: Path) -> str:
    """Write the page of a notebook as Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    first, *rest = "".join(cells[0]["source"]).split("\n", 1)
    links = f"[Run it in a hosted notebook]({HOSTED}/{path.name}), or see it [in the repository]"
    parts = [f"{first}\n\n{links}(https://github.com/{BRANCH}/{path.name}).\n", *rest]
    for cell in cells[1:]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        parts += [shown for output in cell["outputs"] for shown in _show(output)]
    return "\n\n".join(parts) + "\n"


def _show(output: dict[str, Any]) -> Iterator[str]:
    data = output.get("data", {})
    if "image/png" in data:
        yield f'<img alt="figure" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
    elif "text/plain" in data or "text" in output:
        text = "".join(data.get("text/plain", output.get("text", "")))
        yield f"```text\n{text.rstrip()}\n```"
