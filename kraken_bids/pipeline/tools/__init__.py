"""The stages of kraken-tools: loose files in, loose files out, no BIDS dataset."""
