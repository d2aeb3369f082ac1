"""Models as files: a folder of our own, and the published checkpoints and transforms."""
