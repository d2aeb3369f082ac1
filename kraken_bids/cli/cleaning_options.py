"""The options that say how BOLD becomes connectomes, for every command that measures it."""

from pathlib import Path

import click

from kraken_bids.cli.options import ListOption, add_options, option
from kraken_bids.settings import DENOISE

cleaning_options = add_options(
    option(
        "--denoise",
        type=click.Choice(DENOISE),
        default="auto",
        help="How the region series are cleaned; auto: fmriclean, and none where the BOLD came "
        "cleaned (XCP-D, fMRIPost, desc-fix; not the HCP's and UK Biobank's). simple, scrubbing, "
        "compcor and ica_aroma regress the confounds, and leave out the volumes, that nilearn's "
        "load_confounds_strategy chooses; ica_aroma takes fMRIPrep's "
        "desc-smoothAROMAnonaggr_bold.",
    ),
    click.option(
        "--high-pass",
        type=float,
        metavar="HZ",
        help="Low cut of the band that is kept, 0 for none; acompcor and nilearn's strategies "
        "take fMRIPrep's cosines (1/128 Hz) instead  [0.01; none for BOLD that is cleaned "
        "already]",
    ),
    click.option(
        "--drop-volumes",
        type=int,
        metavar="N",
        help="Volumes to drop at the start of each run  [fMRIPrep's non-steady-state volumes]",
    ),
    click.option(
        "--fd-threshold",
        type=float,
        metavar="MM",
        help="Leave out volumes of more framewise displacement  [none; scrubbing: 0.5]",
    ),
    option(
        "--min-minutes",
        type=float,
        default=5.0,
        help="Warn where less is left after cleaning.",
    ),
    option(
        "--min-coverage",
        type=float,
        default=0.5,
        help="Share of a region's voxels that must hold signal; else the region is NaN.",
    ),
    click.option(
        "--pcorr-lambda",
        cls=ListOption,
        metavar="ATLAS=VALUE ...",
        help="Ridge of the partial correlation  [what a group run with --refit-pcorr saved, else "
        "0.06]",
    ),
)
"""Options of :class:`~kraken_bids.settings.FunctionalSettings`."""
template_options = add_options(
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
"""Options on templates that differ, for every command that lays labels over data."""


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
