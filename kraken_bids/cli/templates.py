"""The options on templates that differ, the same in every command that lays labels over data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_OPTIONS = (
    click.option(
        "--transforms-dir",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="Transforms between templates, as TemplateFlow names them "
        "(tpl-MNI152NLin2009cAsym_from-MNI152NLin6Asym_mode-image_xfm.h5) or fMRIPrep "
        "(from-..._to-..._mode-image_xfm.h5)  [TemplateFlow's cache]",
    ),
    click.option(
        "--allow-template-mismatch",
        is_flag=True,
        help="Lay labels of one template over data in another as they are where no transform "
        "between the two is found: millimetres off.",
    ),
)


def template_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--transforms-dir`` and ``--allow-template-mismatch``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
