"""Model families, one folder each, and what their training shares."""
