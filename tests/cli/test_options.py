"""How the commands read their words."""

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli import app
from kraken_bids.cli.help_sections import REST, SECTIONS, SectionedCommand
from kraken_bids.cli.options import (
    ForgivingCommand,
    ListOption,
    exit_with_message,
    labels,
    pairs,
    read_config,
)
from kraken_bids.exceptions import InputError, SettingsError

CLOSING = ["/data", "/out", "participant"]


@pytest.fixture
def parse():
    """Parse words with a command that has one list, one number and three positionals."""

    @click.command(cls=ForgivingCommand)
    @click.argument("bids_dir")
    @click.argument("output_dir")
    @click.argument("level", type=click.Choice(["participant", "group"]))
    @click.option("--participant-label", cls=ListOption)
    @click.option("-t", "--task-id", cls=ListOption)
    @click.option("--high-pass", type=float, default=0.01)
    @click.pass_context
    def command(ctx: click.Context, **_options: Any) -> None:
        ctx.obj.update(ctx.params)

    def run(*words: str) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        result = CliRunner().invoke(command, list(words), obj=seen)
        assert result.exit_code == 0, result.output
        return seen

    return run


@pytest.mark.parametrize(
    "words",
    [
        [*CLOSING, "--participant-label", "01", "02", "--high-pass", "0.02"],
        [*CLOSING, "--participant_label", "01", "02", "--high_pass=0.02"],
        [*CLOSING, "--participant-label=01", "--participant-label", "02", "--high-pass", "0.02"],
        ["--high-pass", "0.02", "--participant-label", "01", "02", *CLOSING],
        ["--participant-label", "01", "02", "--high-pass", "0.02", *CLOSING],
    ],
)
def test_lists_and_spellings_mean_the_same(parse, words):
    """Space-separated, repeated, dashed and underscored options give one result, in any place."""
    seen = parse(*words)

    assert seen["participant_label"] == ("01", "02")
    assert seen["high_pass"] == 0.02
    assert (seen["bids_dir"], seen["output_dir"], seen["level"]) == tuple(CLOSING)


def test_short_list_option_takes_several_values(parse):
    """``-t rest nback`` is a list of two."""
    assert parse(*CLOSING, "-t", "rest", "nback")["task_id"] == ("rest", "nback")


def test_values_keep_their_underscores(parse):
    """Only the name of an option is rewritten, not its value."""
    seen = parse("/my_data", "/my_out", "group", "--participant_label=a_b")

    assert seen["bids_dir"] == "/my_data"
    assert seen["participant_label"] == ("a_b",)


def test_pairs_are_split_at_the_first_equals_sign():
    """A path may hold ``=``."""
    assert pairs("-d", ["qsi=/a/b=c"]) == {"qsi": "/a/b=c"}


@pytest.mark.parametrize("words", [["fmriprep"], ["=x"], ["a="], ["a=1", "a=2"]])
def test_broken_pairs_are_refused(words):
    """A word without name or value, or a name given twice, is a usage error."""
    with pytest.raises(SettingsError, match="-d"):
        pairs("-d", words)


def test_labels_lose_their_prefix_and_come_once():
    """``sub-01`` and ``01`` are one participant."""
    assert labels("sub-", ["sub-01", "02", "01"]) == ("01", "02")


def test_config_file_gives_defaults(tmp_path: Path):
    """Keys may be spelled either way; tables become NAME=VALUE."""

    @click.command()
    @click.option("--high-pass", type=float)
    @click.option("--derivatives", cls=ListOption)
    def command(**_options: Any) -> None: ...

    path = tmp_path / "run.toml"
    path.write_text('high-pass = 0.05\n[derivatives]\nfmriprep = "/x"\n')

    assert read_config(path, command) == {"high_pass": "0.05", "derivatives": ["fmriprep=/x"]}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("high-pass = ", InputError),
        ("unheard_of = 1", SettingsError),
        (None, InputError),
        ("high-pass = 1 # \xe9".encode("latin-1"), InputError),
        ("high-pass = " + "[" * 5000, InputError),
        ("high-pass = " + "[" * 80 + "]" * 80, InputError),
        (".".join("a" * 100) + " = 1", InputError),
        ("high-pass = " + "9" * 5000, InputError),
    ],
)
def test_broken_config_files_are_refused(tmp_path: Path, content, error):
    """Bad TOML, no UTF-8, values without end, a missing file, an unknown option: it is named."""
    path = tmp_path / "run.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(error, match=r"run\.toml"):
        read_config(path, click.Command("x"))


def test_the_nearest_option_of_an_unknown_one_is_named(tmp_path: Path) -> None:
    """For each that has one."""
    path = tmp_path / "run.toml"
    path.write_text("n_proc = 2\nlabel = ['01']\nunheard_of = 1\n")

    with pytest.raises(
        SettingsError, match="Did you mean label: labels, n_proc: n_procs"
    ) as error:
        read_config(path, configured)
    assert "label, n_proc, unheard_of" in str(error.value)


@click.command()
@click.option("--n-procs", type=int)
@click.option("--folder", type=click.Path())
@click.option("--labels", cls=ListOption)
def configured(**options: Any) -> None:
    """Say what it was given."""
    click.echo(options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n-procs = inf", "not a valid integer"),
        ("n-procs = true", "not a valid integer"),
        ("labels = '01'", "must be an iterable"),
        ("folder = 5", "'folder': '5'"),
        ("labels = [1, '02']", "'labels': ('1', '02')"),
    ],
)
def test_values_of_a_config_file_are_words_as_those_of_the_command_line(
    tmp_path: Path, content: str, message: str
) -> None:
    """Whatever kind of value an option is given, click takes it, or says that it does not."""
    path = tmp_path / "run.toml"
    path.write_text(content)

    result = CliRunner().invoke(configured, default_map=read_config(path, configured))

    assert message in result.output
    assert isinstance(result.exception, SystemExit | None)


@pytest.mark.parametrize("content", ["n-procs = [1, 2]", "n-procs = {a = 1}", "labels = [[1]]"])
def test_several_values_for_one_are_refused(tmp_path: Path, content: str) -> None:
    """Lists and tables, where a word or a number belongs."""
    path = tmp_path / "run.toml"
    path.write_text(content)

    with pytest.raises(SettingsError, match=r"run\.toml: expected a word or a number for"):
        read_config(path, configured)


def test_a_config_file_may_hold_sentences_with_many_dots(tmp_path: Path) -> None:
    """Comments, and paths with dots, are no keys inside keys."""
    command = click.Command("x", params=[click.Option(["--model"])])
    path = tmp_path / "run.toml"
    path.write_text(f"# {'.' * 200}\n# {'Go on. ' * 20}\nmodel = '{'../' * 60}x.y'\n")

    assert read_config(path, command) == {"model": "../" * 60 + "x.y"}


def test_the_help_explains_every_option_in_a_group() -> None:
    """Nothing is left over, and nothing goes without a word."""
    ctx = click.Context(app.main)
    options = [p for p in app.main.get_params(ctx) if isinstance(p, click.Option)]

    assert [o.opts for o in options if not o.help] == []
    named = {name for names in SECTIONS.values() for name in names}
    assert [o.name for o in options if o.name not in named] == []
    text = app.main.get_help(ctx)
    assert [o.opts for o in options if o.opts[-1] not in text] == []
    assert all(f"\n{title}:\n" in text for title in SECTIONS)
    assert f"{REST}:" not in text


def test_an_option_that_no_group_names_is_in_the_help_all_the_same() -> None:
    """It comes last."""

    @click.command(cls=SectionedCommand)
    @click.option("--colour", help="Of the bird.")
    @click.option("--force", help="Redo.")
    def command(colour: str, force: str) -> None:
        """Do nothing."""

    text = command.get_help(click.Context(command))

    assert text.index("What is done:") < text.index("--force") < text.index(f"{REST}:")
    assert text.index(f"{REST}:") < text.index("--colour")


def test_memory_that_runs_out_is_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    """What a command cannot hold is no fault to report."""
    with pytest.raises(SystemExit) as ended, exit_with_message():
        np.empty(1 << 60, np.uint8)

    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: expected room to compute; there was no memory left. Give more")


def test_a_refusal_of_the_system_is_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be used, wherever that shows: what it is, and what to do."""
    with pytest.raises(SystemExit) as ended, exit_with_message():
        (tmp_path / "absent" / "file").open()

    assert ended.value.code == 1
    assert "absent/file; that gave: No such file or directory. Check" in capsys.readouterr().err


def test_an_option_in_both_spellings_is_refused(tmp_path: Path) -> None:
    """Which of the two counts would be chance."""
    path = tmp_path / "c.toml"
    path.write_text("n_procs = 4\nn-procs = 5\n")
    command = click.Command("x", params=[click.Option(["--n-procs"])])
    with pytest.raises(SettingsError, match=r"found n-procs in both spellings"):
        read_config(path, command)
