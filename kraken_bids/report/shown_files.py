"""Files of OUTPUT_DIR that a page shows or is drawn from."""

import os
from pathlib import Path

NOT_SHOWN = ("figures",)


def list_shown(folder: Path) -> dict[str, Path]:
    """List the files in a folder and those in it by their place there, in order.

    Figures and hidden files are none of them; folders that may not be read are passed over.
    """
    found: dict[str, Path] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if one not in NOT_SHOWN and not one.startswith(".")]
        inside = place[len(str(folder)) + 1 :]
        for name in names:
            if not name.startswith("."):
                found[f"{inside}/{name}" if inside else name] = Path(place, name)
    return dict(sorted(found.items(), key=lambda item: item[0].split("/")))
