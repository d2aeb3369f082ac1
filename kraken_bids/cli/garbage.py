"""When the commands look for garbage: rarely, and not at their end."""

import atexit
import gc

NEW_OBJECTS = 50_000
"""Container objects that are made before the youngest are searched; Python's own is 700."""


def collect_rarely() -> None:
    """Spare a command the searches that importing large libraries and ending would bring.

    Importing makes hundreds of thousands of objects that stay, and an ending interpreter looks
    through all of them several times: half a second in all, where nothing is ever found.
    """
    gc.set_threshold(NEW_OBJECTS)
    atexit.register(gc.freeze)
