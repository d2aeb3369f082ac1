"""The reports: what each page shows, gathered from the files in OUTPUT_DIR, and drawing it."""
