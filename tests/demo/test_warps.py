"""A subject's own anatomy."""

import numpy as np

from kraken_bids.demo.template_brain import SEMI_AXES
from kraken_bids.demo.warps import compute_fields, draw_anatomy


def test_template_and_person_map_onto_each_other() -> None:
    """There and back again is less than a thousandth of a millimetre off."""
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3)) * SEMI_AXES
    for seed in range(3):
        anatomy = draw_anatomy(seed)
        back = anatomy.from_template(anatomy.to_template(points))
        assert np.abs(back - points).max() < 1e-3


def test_people_differ_by_millimetres() -> None:
    """The warp moves points by millimetres, nowhere by more than 5, and differs by subject."""
    fields = [compute_fields(draw_anatomy(seed))[1] for seed in (0, 1)]
    length = [np.linalg.norm(field, axis=-1) for field in fields]
    assert all(1 < one.max() < 5 for one in length)
    assert np.abs(fields[0] - fields[1]).max() > 1


def test_acpc_is_rigid() -> None:
    """AC-PC space is a rotation and a shift away from T1w space."""
    turn = draw_anatomy(3).acpc[:3, :3]
    assert np.allclose(turn @ turn.T, np.eye(3))
    assert np.isclose(np.linalg.det(turn), 1)
