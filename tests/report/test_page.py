import gc
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from kraken_bids.report.page import draw_figures, render_page

VOID = {"meta", "link", "img", "br", "wbr", "path", "rect", "circle"}


class Outline(HTMLParser):
    """Tags of a page with their attributes, and its text; checks that tags close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Keep the tag and expect its end."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        """Check that the innermost open tag ends."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Keep the text."""
        self.text += data

    def all(self, tag):
        """List the attributes of all tags of one kind."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def pages(participant_page, bare_page, group_page, show) -> dict[str, str]:
    nothing = {
        "adaptation": {"fits": (), "otherwise": "", "by": ""},
        "model": {"model": None, "latents": ()},
    }
    nothing |= {"outliers": {"rows": [], "n_judged": 0}, "latents": {"latents": None}}
    nothing |= {"identifiability": {"scores": None}, "quality": {"rows": []}, "files": ()}
    bare_group = show(group_page, metrics=None, citation=None, errors=None, **nothing)
    return {
        "participant": render_page(participant_page, draw_figures(participant_page)),
        "bare": render_page(bare_page, draw_figures(bare_page)),
        "group": render_page(group_page, draw_figures(group_page)),
        "bare group": render_page(bare_group, {}),
    }


every_page = pytest.mark.parametrize("name", ["participant", "bare", "group", "bare group"])


@every_page
def test_texts_are_escaped(pages, name):
    """No text of the data becomes a tag, a script or a template expression."""
    outline = Outline(pages[name])
    assert len(outline.all("script")) == ("group" in name)  # ours, which sorts the tables
    if not name.startswith("bare"):
        assert "<script>alert('x')</script>" in outline.text
        assert "{{ 7 * 7 }}" in outline.text


@every_page
def test_nothing_is_fetched(pages, name):
    """Images and icon are data; no style names an address; only links leave the file."""
    outline = Outline(pages[name])
    for attributes in outline.all("img"):
        assert attributes["src"].startswith("data:image/png;base64,")
    assert [link["href"][:5] for link in outline.all("link")] == ["data:"]
    assert not re.search(r"url\(|@import|srcset|<iframe|<object|<embed", pages[name])
    for tag, attributes in outline.tags:
        if tag != "a":
            hrefs = [v for k, v in attributes.items() if k in {"src", "href", "action", "poster"}]
            assert all(value.startswith("data:") for value in hrefs)


@every_page
def test_links_are_safe_and_found(pages, name):
    """Links in the page have their target; no file name reads as a scheme."""
    outline = Outline(pages[name])
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in outline.all("a"):
        href = attributes["href"]
        if href.startswith("#"):
            assert href[1:] in ids
        else:
            assert href.startswith("https://") or ":" not in href


@every_page
def test_every_figure_has_words_and_a_size(pages, name):
    """Alternative texts name what is shown; sizes keep the page from jumping."""
    for attributes in Outline(pages[name]).all("img"):
        assert len(attributes["alt"]) > 15
        assert 100 < int(attributes["width"]) < 1300
        assert int(attributes["height"]) > 50


@every_page
def test_no_placeholder_is_left(pages, name):
    """Neither None nor nan reaches the reader."""
    text = re.sub(r"{[^{}]*}", "", Outline(pages[name]).text)
    assert not re.search(r"\b(None|nan|NaN|undefined)\b", text)


def test_warnings_come_before_remarks(pages):
    """What is wrong is read first."""
    text = pages["participant"]
    assert text.index('<li class="warning">') < text.index('<li class="info">')


def test_a_figure_that_is_absent_leaves_its_place_empty(participant_page):
    """Rendering without figures is no error."""
    assert Outline(render_page(participant_page, {})).all("img") == []


def test_participant_page_names_what_the_numbers_mean(pages):
    """The page says how many regions are missing and which, and what adaptation did."""
    text = Outline(pages["participant"]).text
    assert "2 regions below 50\u00a0%" in text
    assert "Left-Caudate" in text or "Left-Putamen" in text
    assert "R² says" in text
    assert "sub-01 / ses-1" in text
    assert "<script>alert('x')</script>" in text.partition("Predicted with")[0]


def test_a_full_page_is_small(pages):
    """A page of five flavors stays far below a megabyte."""
    assert len(pages["participant"]) < 800_000


def test_columns_of_quality_that_nobody_has_are_left_out(group_page, show):
    """Connectomes measured elsewhere have no minutes and no streamlines: words say so instead."""
    nothing = {"minutes_kept": None, "mean_fd": None, "lowest_coverage": None, "both_ends": None}
    rows = tuple(replace(row, **nothing) for row in group_page.data["quality"]["rows"])
    quality = {"rows": rows, "has_bold": False, "has_tracts": False}
    text = Outline(render_page(show(group_page, quality=quality), {})).text
    assert "minutes used" not in text
    assert "Nothing is known of the functional runs" in text
    assert "Nothing is known of the tractograms" in text
    full = Outline(render_page(group_page, {})).text
    assert "minutes used" in full
    assert "Nothing is known of the functional runs" not in full


def test_garbage_is_collected_again_after_figures_that_fail(participant_page, show):
    """Drawing turns the search for garbage off, and always on again."""
    with pytest.raises(AttributeError):
        draw_figures(show(participant_page, coverage=[3]))
    assert gc.isenabled()
