"""The stages of a run, the only place where dataset, connectomes, model and report meet."""
