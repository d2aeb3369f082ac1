"""One module per file format, read and write: no BIDS names, no mathematics."""
