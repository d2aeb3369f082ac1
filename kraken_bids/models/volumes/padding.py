"""Padding as TensorFlow's ``SAME`` has it: what is odd goes behind."""

from collections.abc import Sequence

import torch
from torch.nn import functional

KERNEL = 3
"""Voxels of a kernel along each axis."""


def list_pads(lengths: Sequence[int], stride: int) -> list[tuple[int, int]]:
    """Voxels to add before and behind along each axis, for an output of length / stride.

    Source: TensorFlow's definition of ``SAME``; torch's ``padding=1`` differs for stride 2.
    """
    totals = [max((-(-n // stride) - 1) * stride + KERNEL - n, 0) for n in lengths]
    return [(total // 2, total - total // 2) for total in totals]


def pad_same(values: torch.Tensor, stride: int) -> torch.Tensor:
    """Add zeros around maps [n, n_channels, …] so that a convolution keeps their length."""
    pads = list_pads(values.shape[2:], stride)
    # torch names the last axis first
    return functional.pad(values, [n for pair in reversed(pads) for n in pair])


def crop_same(values: torch.Tensor, lengths: Sequence[int], stride: int) -> torch.Tensor:
    """Take away what :func:`pad_same` added."""
    places = tuple(
        slice(before, before + n)
        for n, (before, _) in zip(lengths, list_pads(lengths, stride), strict=True)
    )
    return values[(slice(None), slice(None), *places)]
