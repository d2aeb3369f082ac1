"""Decoding of whole volumes by 2D and 3D convolutional networks, with layer-wise relevance."""
