"""``--help`` of the BIDS App, in groups."""

from collections.abc import Iterator

import click

from kraken_bids.cli.options import ForgivingCommand

SECTIONS = {
    "What is read": (
        *("derivatives", "participant_label", "session_id", "task_id", "bids_filter_file"),
        *("bids_database_dir", "exclude_runs", "tractogram", "tractogram_weights"),
        "skip_bids_validation",
    ),
    "What is measured": (
        *("atlases", "flavors", "search_radius", "sc_units", "edges", "scalar"),
        *("per_run", "minutes"),
    ),
    "Label images": (*("atlas", "parcellation", "transforms_dir", "allow_template_mismatch"),),
    "How BOLD is cleaned": (
        *("denoise", "high_pass", "drop_volumes", "fd_threshold", "min_minutes"),
        *("min_coverage", "pcorr_lambda", "refit_pcorr", "lesion_mask"),
    ),
    "What is predicted": (
        *("model", "transforms", "sources", "targets", "output_format", "matrix_header", "device"),
    ),
    "Adaptation to this site": (
        *("adaptation", "adaptation_mode", "adaptation_subjects", "adaptation_min_subjects"),
        *("adaptation_by", "adaptation_covariates", "adaptation_mean"),
    ),
    "What predictions are worth": (
        *("calibrate", "interval_coverage", "families", "controls", "covariates", "impute"),
    ),
    "Further analyses": (
        *("analysis", "n_communities", "gamma", "n_nulls", "decoder", "relevance", "cleaning"),
    ),
    "Processes and clusters": (
        *("n_procs", "omp_nthreads", "mem_gb", "work_dir", "scheduler", "min_jobs", "queue"),
        *("account", "walltime", "job_directives", "job_prologue", "job_python"),
    ),
    "What is done": (
        *(
            "force",
            "reports_only",
            "boilerplate_only",
            "dry_run",
            "stop_on_first_crash",
            "config_file",
            "verbose",
        ),
        *("version", "help", "_click_default_help"),  # its name differs by version of click
    ),
}
"""Title of a group to its parameters, in the order of the help."""
REST = "Other options"


class SectionedCommand(ForgivingCommand):
    """A command whose help comes in groups."""

    def group_options(self, ctx: click.Context) -> Iterator[tuple[str, list[click.Option]]]:
        """Give title and options of each group; options that no group names come last."""
        options = {str(p.name): p for p in self.get_params(ctx) if isinstance(p, click.Option)}
        named = {name for names in SECTIONS.values() for name in names}
        rest = tuple(name for name in options if name not in named)
        for title, names in {**SECTIONS, REST: rest}.items():
            yield title, [options[name] for name in names if name in options]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options group by group."""
        for title, options in self.group_options(ctx):
            rows = [row for one in options if (row := one.get_help_record(ctx)) is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=26)
