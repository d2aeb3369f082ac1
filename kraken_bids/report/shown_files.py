"""Files of OUTPUT_DIR that a page shows or is drawn from."""

import os
from pathlib import Path

NOT_SHOWN = ("figures",)


def list_shown(folder: Path) -> list[str]:
    """List the places of files in a folder and in those inside of it, in order.

    Figures and hidden files are none of them; folders that may not be read are passed over.
    """
    found: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if one not in NOT_SHOWN and not one.startswith(".")]
        inside = f"{place}/"[len(str(folder)) + 1 :]
        found += [f"{inside}{name}" for name in names if not name.startswith(".")]
    return sorted(found, key=lambda name: name.split("/"))
