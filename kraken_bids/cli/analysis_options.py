"""The options that say which analyses the group level carries out."""

import logging

import click

from kraken_bids.analysis_settings import ANALYSES, CLEANINGS, DECODE_VOLUMES, AnalysisSettings
from kraken_bids.cli.options import FILE, ListOption, add_options, option

logger = logging.getLogger(__name__)

analysis_options = add_options(
    option(
        "--analysis",
        cls=ListOption,
        metavar="|".join(ANALYSES) + " ...",
        default=("connectomes",),
        help="group: connectomes predicts and judges; communities searches the cleaned region "
        "series of every atlas for communities that come and go. participant: decode-volumes says "
        "which state each volume of BOLD in MNI152NLin6Asym was acquired in (--decoder); with "
        "connectomes beside it, both are done.",
    ),
    click.option(
        "--decoder",
        type=FILE,
        metavar="PATH",
        help="Decoder of volumes: a folder that train-volumes wrote, or weights of the release.",
    ),
    click.option(
        "--relevance",
        is_flag=True,
        help="Write which voxels spoke for each decoded state.",
    ),
    click.option(
        "--cleaning",
        type=click.Choice(CLEANINGS),
        metavar="NAME",
        help="How the volumes to decode are cleaned: deeplight, or a strategy of --denoise, with "
        "fMRIPrep's confounds  [as those that the decoder was trained on]",
    ),
    option(
        "--n-communities",
        default="auto",
        metavar="N|auto",
        help="Most communities; auto: number and resolution at which halves of the scans agree "
        "best.",
    ),
    option(
        "--gamma",
        type=float,
        default=1.0,
        help="Resolution of modularity, where the number of communities is given.",
    ),
    option(
        "--n-nulls",
        type=int,
        default=19,
        help="Surrogate series of each scan that the presence of communities is compared with; "
        "0: none.",
    ),
)
"""Options of :class:`~kraken_bids.analysis_settings.AnalysisSettings`."""


def check_analysis_options(asked: AnalysisSettings, level: str) -> None:
    """Say where an option of an analysis changes nothing."""
    of_volumes = [
        option
        for option, is_given in (
            ("--decoder", asked.decoder is not None),
            ("--relevance", asked.relevance),
            ("--cleaning", asked.cleaning is not None),
        )
        if is_given
    ]
    if of_volumes and DECODE_VOLUMES not in asked.analysis:
        where = " of the participant level" if level == "group" else ""
        logger.warning(
            "%s: no effect without --analysis decode-volumes%s", ", ".join(of_volumes), where
        )
    if level != "group":
        if "communities" in asked.analysis:
            logger.warning(
                "--analysis changes nothing at the level %s: communities are searched at the "
                "group level",
                level,
            )
        return
    if DECODE_VOLUMES in asked.analysis:
        logger.warning("--analysis decode-volumes changes nothing at the level group")
    usual = AnalysisSettings()
    given = [
        option
        for option, is_given in (
            ("--n-communities", asked.n_communities != usual.n_communities),
            ("--gamma", asked.gamma != usual.gamma),
            ("--n-nulls", asked.n_nulls != usual.n_nulls),
        )
        if is_given
    ]
    if given and "communities" not in asked.analysis:
        logger.warning("%s: no effect without --analysis communities", ", ".join(given))
    elif "--gamma" in given and asked.n_communities == "auto":
        logger.warning("--gamma changes nothing with --n-communities auto, which chooses it")
