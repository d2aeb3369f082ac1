"""Measuring: from images and tractograms to connectomes, in files."""
