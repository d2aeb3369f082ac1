"""A page: gathered and drawn section by section, and written as one HTML file."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from kraken_bids.bids.outputs import group_report_path
from kraken_bids.cohort.members import Member
from kraken_bids.io.files import atomic_path
from kraken_bids.io.files_together import finishing_together
from kraken_bids.io.writing import write_text
from kraken_bids.report import theme
from kraken_bids.report.contents import OF_DECODING_ALONE, OF_GROUP, OF_SUBJECT
from kraken_bids.report.freshness import digest_page, digest_subject, is_current, mark_page
from kraken_bids.report.notices import list_group_notices, list_notices
from kraken_bids.report.section import Neighbours, Page, Section
from kraken_bids.report.sections.model_facts import describe_group_model, describe_model
from kraken_bids.report.subjects import judge_subjects
from kraken_bids.report.tiles import count_subjects, list_group_tiles, list_tiles
from kraken_bids.report.words import (
    count_noun,
    explain_source,
    format_count,
    format_fixed,
    format_known_share,
    format_number,
    format_significant,
    is_weblink,
    make_breakable,
    quote_href,
)
from kraken_bids.report.written import Known, Written
from kraken_bids.report.written_group import WrittenGroup

if TYPE_CHECKING:
    from jinja2 import Environment


def build_subject_page(
    written: Written, *, dataset: str = "", neighbours: Neighbours = (None, None)
) -> Page:
    """Gather the page of one session, of a dataset by name, from what has been written for it."""
    member, model = written.member, written.once(describe_model)
    title = f"sub-{member.subject}" + (f" / ses-{member.session}" if member.session else "")
    is_measured = bool(member.connectomes)
    sections = OF_SUBJECT if is_measured else OF_DECODING_ALONE
    return Page(
        sections,
        gather_sections(sections, written),
        title=title,
        kicker="Connectome report" if is_measured else "Report of decoded volumes",
        heading=title,
        under=tuple(filter(None, (dataset, f"Predicted with {model.name}" if model else ""))),
        tiles=list_tiles(written),
        notices=list_notices(written),
        group_href=find_group_page(written.output_dir),
        neighbours=neighbours,
    )


def find_group_page(output_dir: Path) -> str:
    """Find the page of the group: its name; '' where it has not been drawn."""
    path = group_report_path(output_dir)
    return path.name if path.exists() else ""


def build_group_page(group: WrittenGroup, *, dataset: str = "") -> Page:
    """Gather the page of the cohort, a dataset by name, from what the group level has written."""
    rows, model = group.once(judge_subjects), group.once(describe_group_model)
    n_subjects = count_noun(count_subjects(rows), "participant")
    counts = f"{n_subjects}, {count_noun(len(rows), 'session')}"
    return Page(
        OF_GROUP,
        gather_sections(OF_GROUP, group),
        title=f"Group · {dataset}" if dataset else "Group",
        kicker="Connectome report of the group",
        heading=dataset or "Group",
        under=(counts, model.name) if model else (counts,),
        tiles=list_group_tiles(group),
        notices=list_group_notices(group),
    )


def draw_figures(page: Page) -> dict[str, bytes]:
    """Draw every figure of a page: PNG files by name."""
    shown = (section for section in page.sections if section.name in page.data)
    return {name: png for one in shown for name, png in one.draw(page.data[one.name]).items()}


def render_page(page: Page, figures: Mapping[str, bytes], *, digest: str = "") -> str:
    """HTML of a page: one file, nothing fetched; the group's sorts its tables.

    Parameters
    ----------
    figures : mapping of str to bytes
        From :func:`draw_figures`; one that is absent leaves its place empty.
    digest : str, optional
        Of what the page shows; kept in its head.
    """
    environment = _environment()
    images = {name: _embed(png) for name, png in figures.items()}
    bodies = [
        (one, environment.get_template(one.template).render(
            data=page.data[one.name], images=images, **one.words
        ))
        for one in page.sections
        if one.name in page.data
    ]  # fmt: skip
    template = environment.get_template("layout.html")
    return template.render(
        page=page,
        digest=digest,
        bodies=bodies,
        is_sortable=any("sortable" in body for _, body in bodies),
    )


@dataclass(frozen=True)
class PageTask:
    """One participant's page to draw; travels to a worker."""

    output_dir: Path
    member: Member
    path: Path
    cohort: str
    """Digest of what the group has written."""
    dataset: str
    """Its name."""
    always: bool
    """Whether it is drawn even if nothing that it shows has changed."""
    neighbours: Neighbours = (None, None)
    """Pages before and after it."""


def draw_subject(task: PageTask) -> bool:
    """Draw one participant's page and write it, with its figures as files beside.

    Returns
    -------
    bool
        False where the page is up to date already and stays.
    """
    written = Written(task.output_dir, task.member)
    group_page = find_group_page(task.output_dir)
    shared = f"{task.cohort} {task.dataset} {task.neighbours} {group_page}"
    digest = digest_subject(written, shared)
    figures = task.output_dir / f"sub-{task.member.subject}" / "figures" / f"{task.member.label}_"
    if not task.always and is_current(task.path, digest, figures):
        return False
    page = build_subject_page(written, dataset=task.dataset, neighbours=task.neighbours)
    write_page(task.path, page, digest, figures)
    return True


def draw_group(output_dir: Path, page: Page, *, always: bool = False) -> Path:
    """Draw the group's page and write it, unless it shows this already; returns its path."""
    path, digest = group_report_path(output_dir), digest_page(page)
    figures = output_dir / "group" / "figures" / "group_"
    if always or not is_current(path, digest, figures):
        write_page(path, page, digest, figures)
    return path


def write_page(path: Path, page: Page, digest: str, figures: Path) -> None:
    """Write a page and its figures, and remove those of earlier pages that it does not show."""
    drawn = draw_figures(page)
    with finishing_together():
        for name, png in drawn.items():
            target = Path(f"{figures}{name}.png")
            if not (target.is_file() and target.read_bytes() == png):
                with atomic_path(target) as temporary:
                    temporary.write_bytes(png)
        write_text(path, render_page(page, drawn, digest=mark_page(digest, drawn)))
    ours = tuple(start for section in page.sections for start in section.figures)
    for old in figures.parent.glob(f"{figures.name}*.png"):  # other people's files stay
        name = old.stem.removeprefix(figures.name)
        if name.startswith(ours) and name not in drawn and not old.is_dir():
            old.unlink(missing_ok=True)


def gather_sections(sections: Sequence[Section], written: Known) -> dict[str, Any]:
    """Gather what each section shows, by its name; those with nothing to show are left out."""
    found = ((section.name, section.gather(written)) for section in sections)
    return {name: data for name, data in found if data is not None}


def _embed(png: bytes) -> dict[str, Any]:
    """Address and size in CSS pixels of a figure as it stands in a page."""
    width, height = theme.read_png_size(png)
    uri = Markup(f"data:image/png;base64,{b64encode(png).decode()}")  # noqa: S704 - letters alone
    return {"uri": uri, "width": width, "height": height}


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("kraken_bids.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=format_number,
        fixed=format_fixed,
        significant=format_significant,
        share=format_known_share,
        count=format_count,
        href=quote_href,
        weblink=is_weblink,
        breakable=make_breakable,
    )
    environment.globals.update(plural=count_noun, explain_source=explain_source)
    return environment
