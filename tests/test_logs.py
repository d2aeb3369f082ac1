"""What the terminal shows: what concerns everyone, once."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kraken_bids.cli.options import exit_with_message
from kraken_bids.logs import show_repeated_warnings, start_file_log, start_terminal_log
from kraken_bids.pipeline.workers import open_executor, run_tasks
from kraken_bids.run_settings import RunSettings

logger = logging.getLogger("kraken_bids.test")
FEW = "sub-%02d, coco439: %d frames are left for 439 regions"


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Give what goes to stderr; take log handlers away afterwards."""
    yield capsys
    for handler in list(logging.getLogger("kraken_bids").handlers):
        logging.getLogger("kraken_bids").removeHandler(handler)
        handler.close()
    logging.captureWarnings(capture=False)


def lines_of(terminal: pytest.CaptureFixture[str]) -> list[str]:
    """Lines without their time."""
    return [line.partition(" ")[2] for line in terminal.readouterr().err.splitlines()]


def test_a_warning_that_concerns_everyone_is_one_line(
    terminal: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The end says of whom else; the file has every one; another kind has a line of its own."""
    start_terminal_log(0)
    start_file_log(tmp_path / "run.log")
    for k in range(1, 19):
        logger.warning(FEW, k, 390 + k)
    logger.warning("sub-03: the mask is empty")
    show_repeated_warnings()

    assert lines_of(terminal) == [
        "WARNING sub-01, coco439: 391 frames are left for 439 regions",
        "WARNING sub-03: the mask is empty",
        "INFO    17 more warning(s) of sub-02, sub-03, sub-04, sub-05, sub-06, sub-07 and 11 more "
        "like this: sub-01, coco439: 391 frames are left for 439 regions",
    ]
    assert len((tmp_path / "run.log").read_text().splitlines()) == 19


def test_errors_and_news_are_never_held_back(terminal: pytest.CaptureFixture[str]) -> None:
    """Each failure has its line, even if all are of one kind."""
    start_terminal_log(0)
    for k in range(3):
        logger.error("sub-%02d: no confounds", k)
        logger.info("sub-%02d measured", k)
    show_repeated_warnings()

    assert len(lines_of(terminal)) == 6


def test_other_warnings_are_one_only_where_they_say_the_same(
    terminal: pytest.CaptureFixture[str],
) -> None:
    """Numbers tell rows and regions apart; the end of a command counts what was said again."""
    start_terminal_log(0)
    with exit_with_message():
        for row in (1, 2, 2):
            logger.warning("row %d holds no numbers", row)

    assert lines_of(terminal) == [
        "WARNING row 1 holds no numbers",
        "WARNING row 2 holds no numbers",
        "INFO    1 more warning(s) like this: row 2 holds no numbers",
    ]


def test_verbose_adds(terminal: pytest.CaptureFixture[str]) -> None:
    """With -v every warning is shown."""
    start_terminal_log(1)
    for k in range(3):
        logger.warning(FEW, k, 400)
    show_repeated_warnings()

    assert len(lines_of(terminal)) == 3


def warn(number: int) -> int:
    """Warn as measuring does, of odd ones with an error."""
    logging.getLogger("kraken_bids.worker").warning(FEW, number, 400)
    if number % 2:
        raise ValueError(number)
    return number


def test_warnings_of_workers_are_shown_once_by_the_main_process(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """However many processes there are; also those of items that fail."""
    start_terminal_log(0)
    log = tmp_path / "run.log"
    with open_executor(RunSettings(n_procs=2), log) as executor:
        found = {item: error for item, _, error in run_tasks(executor, warn, range(6))}
    show_repeated_warnings()
    logging.getLogger("kraken_bids").handlers.clear()
    logging.captureWarnings(capture=False)

    assert [item for item, error in sorted(found.items()) if error is not None] == [1, 3, 5]
    said = capfd.readouterr().err
    assert said.count("WARNING") == 1
    assert "5 more warning(s) of sub-" in said
    assert log.read_text().count("WARNING") == 6
