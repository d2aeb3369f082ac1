"""A subject's own brain: the template's, moved by an affine map and bent by a few millimetres.

A point of the T1w image passes through the affine map, then through the warp, and lands in the
template.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.demo.template_brain import (
    CENTRE,
    COARSE_MM,
    coarse_shape,
    grid_affine,
    grid_points,
)

FloatArray = NDArray[np.float64]

WARP_MM = 2.5
"""Largest displacement of one wave of the warp along one axis."""
_N_WAVES = 3
FIELD_SHAPE = tuple(n + 8 for n in coarse_shape())
"""Grid of the displacement field: that of the template's BOLD with a margin."""


@dataclass(frozen=True)
class Anatomy:
    """Where a subject's brain differs from the template."""

    affine: FloatArray
    """T1w points to the template before the warp, [4, 4], RAS mm."""
    waves: FloatArray
    """Wave vectors of the warp in 1/mm, [n_waves, 3]."""
    phases: FloatArray
    """[n_waves, 3]"""
    amplitudes: FloatArray
    """[n_waves, 3], mm"""
    acpc: FloatArray
    """T1w points to QSIPrep's AC-PC space, rigid, [4, 4]."""

    def to_template(self, points: FloatArray) -> FloatArray:
        """Points [..., 3] of the T1w image in the template."""
        moved = points @ self.affine[:3, :3].T + self.affine[:3, 3]
        return np.asarray(moved + self.displacement(moved))

    def from_template(self, points: FloatArray) -> FloatArray:
        """Points [..., 3] of the template in the T1w image."""
        moved = points + self.inverse_displacement(points)
        return np.asarray((moved - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T)

    def to_acpc(self, points: FloatArray) -> FloatArray:
        """Points [..., 3] of the T1w image in AC-PC space."""
        return np.asarray(points @ self.acpc[:3, :3].T + self.acpc[:3, 3])

    def displacement(self, points: FloatArray) -> FloatArray:
        """Warp at points [..., 3] that the affine map has moved, mm."""
        angle = points @ self.waves.T
        return np.asarray(
            sum(
                self.amplitudes[k] * np.sin(angle[..., k, None] + self.phases[k])
                for k in range(_N_WAVES)
            )
        )

    def inverse_displacement(self, points: FloatArray) -> FloatArray:
        """Warp back, at points [..., 3] of the template, mm."""
        back = np.zeros_like(points)
        for _ in range(8):  # a contraction, since the warp is smooth: each turn gains a digit
            back = -self.displacement(points + back)
        return back


def draw_anatomy(seed: int) -> Anatomy:
    """Draw a subject's anatomy."""
    rng = np.random.default_rng([seed, 2])
    turn = _rotation(rng.uniform(-0.08, 0.08, 3))
    affine = np.eye(4)
    affine[:3, :3] = turn * rng.uniform(0.96, 1.04, 3)
    affine[:3, 3] = rng.uniform(-5, 5, 3) + CENTRE - affine[:3, :3] @ CENTRE
    acpc = np.eye(4)
    acpc[:3, :3] = _rotation(rng.uniform(-0.12, 0.12, 3))
    acpc[:3, 3] = rng.uniform(-12, 12, 3)
    waves = rng.standard_normal((_N_WAVES, 3))
    waves *= (
        2
        * np.pi
        / (rng.uniform(90, 140, (_N_WAVES, 1)) * np.linalg.norm(waves, axis=1, keepdims=True))
    )
    return Anatomy(
        affine=affine,
        waves=waves,
        phases=rng.uniform(0, 2 * np.pi, (_N_WAVES, 3)),
        amplitudes=rng.uniform(0.3, 1.0, (_N_WAVES, 3)) * WARP_MM / np.sqrt(_N_WAVES),
        acpc=acpc,
    )


def compute_fields(
    anatomy: Anatomy,
) -> tuple[FloatArray, NDArray[np.float32], NDArray[np.float32]]:
    """Displacement fields for transform files.

    Returns
    -------
    affine : ndarray [4, 4]
        Voxel-to-world matrix of the fields.
    to_template, from_template : ndarray [x, y, z, 3]
        mm, RAS.
    """
    affine = grid_affine(COARSE_MM, FIELD_SHAPE)
    points = grid_points(affine, FIELD_SHAPE)
    there = anatomy.displacement(points).astype(np.float32)
    return affine, there, anatomy.inverse_displacement(points).astype(np.float32)


def invert(affine: FloatArray) -> FloatArray:
    """Inverse of an affine map [4, 4]."""
    return np.asarray(np.linalg.inv(affine), dtype=np.float64)


def _rotation(angles: FloatArray) -> FloatArray:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[[i, i, j, j], [i, j, i, j]] = [
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        ]
        matrix = matrix @ step
    return matrix
