"""``kraken-tools`` imports the command that is asked for, and no other."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from kraken_bids.cli.tools import MODULES, main


@pytest.mark.parametrize("name", main.list_commands(click.Context(main)))
def test_every_command_is_found_by_its_name(name: str) -> None:
    """What the list promises is there, and says what it does."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.help


def test_commands_are_listed_from_a_to_z() -> None:
    """One that is made in the module itself stands among the others."""
    listed = CliRunner().invoke(main, ["--help"]).output.partition("Commands:")[2].splitlines()
    names = [line.split()[0] for line in listed if line[:3].strip()]
    assert names == sorted({*MODULES, "demo"})


def test_a_misspelled_command_is_named() -> None:
    """As for any group, though none is imported yet."""
    code = "from kraken_bids.cli.tools import main; main(['evalute'])"
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 2
    assert "No such command 'evalute'" in outcome.stderr


def test_a_command_imports_no_other() -> None:
    """Options of 25 commands, and the settings behind them, take longer than a small command."""
    code = """if True:
        import sys
        from kraken_bids.cli.tools import main
        main(["sc", "--help"], standalone_mode=False)
        own = [name for name in sys.modules if name.startswith("kraken_bids.")]
        print([name for name in own if ".commands." in name], "kraken_bids.settings" in own)
    """
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert outcome.stdout.splitlines()[-1] == "['kraken_bids.cli.commands.sc'] False"
