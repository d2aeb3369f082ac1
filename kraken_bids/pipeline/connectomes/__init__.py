"""Measuring: from images and tractograms of a session to its connectomes, in files."""
