"""Works to cite."""

from kraken_bids.report.section import Section

REFERENCES = (
    (
        "Jamison KW, Gu Z, Wang Q, Tozlu C, Sabuncu MR, Kuceyeski A. Krakencoder: a unified brain "
        "connectome translation and fusion tool. Nature Methods (2025).",
        "https://doi.org/10.1038/s41592-025-02706-2",
    ),
)
"""Text and address of each; a link to click, nothing is fetched when the page opens."""

SECTION = Section("citation", "How to cite", "citation.html", lambda _: REFERENCES)
