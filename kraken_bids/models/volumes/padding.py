"""Convolutions padded as TensorFlow's ``SAME`` has it: what is odd goes behind."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

Convolution = nn.Conv2d | nn.Conv3d
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


def convolve_same(layer: Convolution, maps: torch.Tensor) -> torch.Tensor:
    """Convolve maps [n, n_channels, …]; the result lies channels last, which is what is fast.

    Of a single channel, libraries are slow: the neighbours along its first axis become channels.
    """
    before, behind = zip(*list_pads(maps.shape[2:], layer.stride[0]), strict=True)
    if isinstance(layer, nn.Conv2d) and maps.shape[1] > 1 and before == behind:
        # without a copy of the maps; of three axes, libraries are slower so
        return functional.conv2d(maps, layer.weight, layer.bias, layer.stride, before)
    padded = pad_same(maps, layer.stride[0])
    if maps.shape[1] > 1 or layer.stride[0] > 1:
        result: torch.Tensor = layer(padded)
        return result
    rows = padded[:, 0].unfold(1, KERNEL, 1)
    weight, bias = layer.weight[:, 0], layer.bias
    if isinstance(layer, nn.Conv2d):
        return functional.conv2d(_put_channels_last(rows), weight.unsqueeze(2), bias)
    planes = functional.conv2d(_put_channels_last(rows.flatten(0, 1)), weight, bias)
    lying = planes.permute(0, 2, 3, 1)
    return lying.reshape(*rows.shape[:2], *lying.shape[1:]).permute(0, 4, 1, 2, 3)


def _put_channels_last(values: torch.Tensor) -> torch.Tensor:
    """Make images [n, n_channels, y, x] of [n, y, x, n_channels], where they lie."""
    return values.contiguous().permute(0, 3, 1, 2)
