"""Judging: what the group level says of its inputs and of its predictions."""
