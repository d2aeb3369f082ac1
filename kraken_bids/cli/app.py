"""``kraken-bids BIDS_DIR OUTPUT_DIR {participant,group}``: the BIDS App."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from kraken_bids import __version__
from kraken_bids.analysis_settings import DECODE_VOLUMES, measures_connectomes
from kraken_bids.cli.adaptation_options import adaptation_options
from kraken_bids.cli.analysis_options import analysis_options, check_analysis_options
from kraken_bids.cli.app_settings import read_settings
from kraken_bids.cli.cleaning_options import bold_options, cleaning_options, template_options
from kraken_bids.cli.cluster_options import check_cluster, cluster_options
from kraken_bids.cli.help_sections import SectionedCommand
from kraken_bids.cli.options import (
    ListOption,
    exit_with_message,
    option,
    read_config,
    verbose_option,
)
from kraken_bids.cli.running_options import check_ridge_options, running_options
from kraken_bids.cli.stopping import end_cleanly_when_stopped, reserve_where_limited
from kraken_bids.cli.structural_options import structural_options
from kraken_bids.cli.worth_options import worth_options
from kraken_bids.exceptions import InputError
from kraken_bids.io.files import make_folder
from kraken_bids.logs import start_terminal_log
from kraken_bids.settings import DEFAULT_ATLASES, DEFAULT_SOURCES, OUTPUT_FORMATS, Settings

EPILOG = """\b
Examples:
  kraken-bids /data/bids /data/out participant --participant-label 01 02
  kraken-bids /data/bids /data/out group
  kraken-bids --config /data/out/logs/20260101T120000_group_42.toml

\b
Exit codes: 0 all done; 1 some participant failed (logs/failures.tsv says which and why);
2 usage; 3 input missing or broken; 4 numbers unusable; 5 model unusable.
"""


def _load_config(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        with exit_with_message():
            ctx.default_map = read_config(value, ctx.command)


@click.command(
    cls=SectionedCommand,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument("bids_dir", type=click.Path(path_type=Path))
@click.argument("output_dir", type=click.Path(path_type=Path))
@click.argument("level", type=click.Choice(["participant", "group"]))
@click.option(
    "-d",
    "--derivatives",
    cls=ListOption,
    metavar="NAME=PATH ...",
    help="Further derivative datasets (fmriprep, qsirecon, freesurfer ...), beside those under "
    "BIDS_DIR/derivatives.",
)
@click.option(
    "--participant-label",
    "--subject-label",
    "participant_label",
    cls=ListOption,
    metavar="LABEL ...",
    help="Participants, with or without sub-  [all]",
)
@click.option(
    "--session-id",
    "--session-label",
    "session_id",
    cls=ListOption,
    metavar="LABEL ...",
    help="Sessions  [all]",
)
@click.option("-t", "--task-id", cls=ListOption, metavar="LABEL ...", help="Tasks  [all]")
@click.option(
    "--bids-filter-file",
    type=click.Path(path_type=Path),
    metavar="JSON",
    help='Entity filters per kind of input, as for fMRIPrep and XCP-D: {"bold": {...}, '
    '"tractogram": {...}}, with "Query.NONE" (or null), "Query.ANY", lists, "regex_search": true.',
)
@click.option(
    "--bids-database-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Existing pybids database of the derivatives, which lists their files instead of their "
    "folders; never written to.",
)
@click.option(
    "--exclude-runs",
    cls=ListOption,
    metavar="NAME|FILE ...",
    help="Runs (and tractograms) to leave out, of one participant or of all, by the entities of "
    "their names: sub-03_ses-1_task-rest_run-2, or run-2; or a text file with one name a line.",
)
@option(
    "--atlases",
    cls=ListOption,
    metavar="NAME ...",
    default=DEFAULT_ATLASES,
    help="Parcellations to measure.",
)
@click.option(
    "--atlas",
    cls=ListOption,
    metavar="NAME=DSEG[,TSV] ...",
    help="Label image of your own, for a parcellation or of one of your own: one image, or a path "
    "with {subject} and {session}. Names of its regions: IMAGE.tsv beside it, or "
    "NAME=DSEG,NAMES.tsv. NAME=NAMES.tsv without an image: region series of XCP-D of that name.",
)
@click.option(
    "--flavors",
    cls=ListOption,
    metavar="FLAVOR ...",
    help="Flavors to measure  [every one that the inputs allow]",
)
@template_options
@cleaning_options
@bold_options
@structural_options
@option(
    "--model",
    default="pretrained",
    metavar="PATH|pretrained|FLAVOR",
    help="A model folder, a published .pt file, or a published model in the cache: the joint one, "
    "or that of a flavor.",
)
@click.option(
    "--transforms", cls=ListOption, metavar="FILE ...", help="Transform files of a .pt model."
)
@adaptation_options
@option(
    "--sources",
    cls=ListOption,
    metavar="SOURCE ...",
    default=DEFAULT_SOURCES,
    help="fusion, fusionSC, fusionFC, each, or flavors.",
)
@click.option("--targets", cls=ListOption, metavar="FLAVOR ...", help="Flavors to predict  [all]")
@option(
    "--output-format",
    type=click.Choice(OUTPUT_FORMATS),
    default="tsv",
    help="Predicted matrices: one TSV each, or one HDF5 per subject.",
)
@click.option(
    "--matrix-header", is_flag=True, help="Write the names of the regions above each matrix."
)
@option(
    "--device",
    default="auto",
    metavar="auto|cpu|cuda[:N]",
    help="Where the model computes; auto takes a GPU where there is one.",
)
@worth_options
@analysis_options
@running_options
@cluster_options
@click.option(
    "--config-file",
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_load_config,
    metavar="TOML",
    help="Defaults for these options; logs/<run>.toml of an earlier run, given alone, repeats it.",
)
@verbose_option
@click.version_option(__version__, prog_name="kraken-bids")
def main(**options: Any) -> None:
    """Compute connectomes from fMRIPrep and MRtrix outputs and translate them between structure,
    function and parcellations with the Krakencoder.

    BIDS_DIR is a raw dataset with derivatives/ or a derivatives dataset; it is never written to.
    `participant` measures and predicts each participant; `group` fits the adaptation on everyone
    found in OUTPUT_DIR and predicts again.
    """  # noqa: D205
    with exit_with_message():
        end_cleanly_when_stopped()
        reserve_where_limited()
        settings = read_settings(options)
        _prepare_process(settings, options["verbose"])
        check_ridge_options(settings, options["level"])
        check_analysis_options(settings.analysis, options["level"])
        exit_code = _run_level(settings, options["level"])
    sys.exit(exit_code)


def _run_level(settings: Settings, level: str) -> int:
    """Run one level; what a dry run does not need (the model, scipy) is not imported for it."""
    if settings.run.boilerplate_only:
        from kraken_bids.pipeline.provenance import describe_outputs

        click.echo(f"{describe_outputs(settings)}")
        return 0
    if level == "group":
        from kraken_bids.pipeline.group import run_group

        if "communities" not in settings.analysis.analysis:
            return run_group(settings)
        from kraken_bids.pipeline.group_communities import write_group_communities

        return run_group(settings, [write_group_communities])
    if settings.run.dry_run:
        return _preview(settings)
    _check_dataset(settings)
    from kraken_bids.pipeline.participant import run_participants

    if DECODE_VOLUMES not in settings.analysis.analysis:
        return run_participants(settings)
    from kraken_bids.pipeline.participant_volumes import check_decoding, decode_participants

    check_decoding(settings)
    return run_participants(settings, [decode_participants])


def _preview(settings: Settings) -> int:
    """Say what a participant run would read, of each analysis that is asked for."""
    code, asked = 0, settings.analysis.analysis
    if measures_connectomes(asked):
        from kraken_bids.pipeline.plan import preview_participants

        code = preview_participants(settings)
    if DECODE_VOLUMES in asked:
        from kraken_bids.pipeline.participant_volumes import preview_decoding

        code = max(code, preview_decoding(settings))
    return code


def _prepare_process(settings: Settings, verbosity: int) -> None:
    """Check the input folder, set thread counts before numpy and torch load, start the log."""
    if not settings.data.bids_dir.is_dir():
        kind = "a file" if settings.data.bids_dir.is_file() else "nothing"
        raise InputError(
            f"BIDS_DIR: expected a folder, the raw dataset with derivatives/ or a derivatives "
            f"dataset; found {kind} at {settings.data.bids_dir}. In a container, check the mount."
        )
    for name in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{name}_NUM_THREADS"] = str(settings.run.omp_nthreads)
    if settings.run.work_dir is not None:
        make_folder(settings.run.work_dir)
        os.environ["TMPDIR"] = str(settings.run.work_dir)
    start_terminal_log(verbosity)
    check_cluster(settings.run)


def _check_dataset(settings: Settings) -> None:
    """Answer a wrong folder or participant at once, before the stages are imported."""
    from kraken_bids.bids.datasets import find_datasets, find_subjects

    datasets = find_datasets(settings.data.bids_dir, settings.data.derivatives)
    find_subjects(datasets, settings.data.participants)
