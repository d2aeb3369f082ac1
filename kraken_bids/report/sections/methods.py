"""How the connectomes were computed, in words that can go into a paper, and works to cite."""

from kraken_bids.report.boilerplate.text import Boilerplate, compose_boilerplate
from kraken_bids.report.section import Section
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup


def describe_session(written: Written) -> Boilerplate:
    """Paragraphs on how a session's connectomes were computed."""
    return compose_boilerplate(written.output_dir, [written.member], is_of_everyone=False)


def describe_group(group: WrittenGroup) -> Boilerplate:
    """Paragraphs on how everyone's connectomes were computed."""
    return compose_boilerplate(group.output_dir, group.members, is_of_everyone=True)


SUBJECT = Section("methods", "Methods", "methods.html", lambda w: w.once(describe_session))
GROUP = Section("methods", "Methods", "methods.html", lambda group: group.once(describe_group))
