"""The options of the app that say which part of the BOLD counts: lesions, runs, minutes."""

import click

from kraken_bids.cli.options import ListOption, add_options

bold_options = add_options(
    click.option(
        "--lesion-mask",
        metavar="PATH",
        help="Lesion mask, with {subject} and {session}: kept out of tissues and regions. Its "
        "name says its space, T1w without  [label-lesion_mask or label-lesion_roi in anat]",
    ),
    click.option(
        "--per-run",
        is_flag=True,
        help="Write the matrices of every run, too (desc-singlerun), and how alike they are.",
    ),
    click.option(
        "--minutes",
        cls=ListOption,
        metavar="N ... all",
        help="Write the matrices of the first N minutes of data that count, too (desc-<N>min), "
        "and how alike they are. None of these is an input of the model.",
    ),
)
"""``--lesion-mask``, and options of :class:`~kraken_bids.part_settings.PartSettings`."""
