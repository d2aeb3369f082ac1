"""How alike two measurements of one person are: the ceiling of what a prediction can reach."""

BASES = {
    "sessions": "two sessions of a person",
    "runs": "two runs of a session, each with a connectome of its own",
    "halves": "halves of the cleaned series of a session; correlations are carried over to whole "
    "series (Spearman and Brown)",
    "given": "a second measurement that was given",
    "unknown": "nobody was measured twice",
}
"""What a ceiling rests on."""
