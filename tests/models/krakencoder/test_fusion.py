"""Fusion and selectors."""

import numpy as np
import pytest

from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.krakencoder.fusion import (
    count_inputs,
    fuse,
    list_excluded,
    parse_selector,
    parse_selectors,
)

FLAVORS = [
    parse_flavor(name)
    for name in (
        "FCcorr_fs86_hpf",
        "FCcorr_shen268_hpf",
        "SCifod2act_fs86_volnorm",
        "SCsdstream_shen268_volnorm",
    )
]


@pytest.fixture
def latents(rng: np.random.Generator) -> dict[Flavor, np.ndarray]:
    return {flavor: rng.normal(size=(6, 4)).astype(np.float32) for flavor in FLAVORS}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("fusion", [0, 1, 2, 3]),
        ("fusionSC", [2, 3]),
        ("fusionFC", [0, 1]),
        ("SCifod2act_fs86_volnorm", [2]),
        ("small=*_fs86_*", [0, 2]),
        ("mixed=fusionSC,FCcorr_fs86_hpf", [0, 2, 3]),
    ],
)
def test_fusion_is_the_plain_mean_of_the_selected_latents(
    latents: dict[Flavor, np.ndarray], text: str, rows: list[int]
) -> None:
    """The mean is not brought to unit length."""
    expected = np.mean([latents[FLAVORS[row]] for row in rows], axis=0)

    np.testing.assert_allclose(fuse(latents, text), expected, atol=1e-6)
    assert parse_selector(text, FLAVORS).name == text.split("=", maxsplit=1)[0]


def test_a_subject_without_a_flavor_is_averaged_over_the_others(
    latents: dict[Flavor, np.ndarray],
) -> None:
    """NaN rows are left out subject by subject; one without any flavor stays NaN."""
    latents[FLAVORS[0]][1] = np.nan
    for flavor in FLAVORS:
        latents[flavor][2] = np.nan

    fused = fuse(latents)

    np.testing.assert_allclose(
        fused[1], np.mean([latents[f][1] for f in FLAVORS[1:]], axis=0), atol=1e-6
    )
    assert np.isnan(fused[2]).all()
    assert count_inputs(latents).tolist() == [4, 3, 0, 4, 4, 4]


def test_renormalizing_gives_unit_rows(latents: dict[Flavor, np.ndarray]) -> None:
    """Rows point where the mean points, with length 1."""
    unit, plain = fuse(latents, renormalize=True), fuse(latents)

    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        unit * np.linalg.norm(plain, axis=1, keepdims=True), plain, atol=1e-6
    )


def test_exclusions_leave_out_the_target_or_its_parcellation(
    latents: dict[Flavor, np.ndarray],
) -> None:
    """Noself drops one flavor, noatlas its parcellation; when nothing remains that is said."""
    assert list_excluded("noself", FLAVORS[0], FLAVORS) == (FLAVORS[0],)
    assert list_excluded("noatlas", FLAVORS[0], FLAVORS) == (FLAVORS[0], FLAVORS[2])
    excluded = list_excluded("noatlas", FLAVORS[0], FLAVORS)

    np.testing.assert_allclose(
        fuse(latents, exclude=excluded), (latents[FLAVORS[1]] + latents[FLAVORS[3]]) / 2, atol=1e-6
    )
    with pytest.raises(FlavorError, match="found none after leaving out FCcorr_fs86_hpf"):
        fuse({FLAVORS[0]: latents[FLAVORS[0]]}, exclude=excluded)


def test_each_stands_for_every_input_and_repeats_vanish() -> None:
    """Sources keep their order and come once."""
    names = [
        s.name for s in parse_selectors(["fusion", "each", "fusion", "FCcorr_fs86_hpf"], FLAVORS)
    ]

    assert names == ["fusion", *(f.name for f in FLAVORS)]


def test_absent_groups_are_errors_only_where_they_were_asked_for() -> None:
    """With FC alone, fusionSC is an error, or left out when it was but a default."""
    only_fc = FLAVORS[:2]
    with pytest.raises(FlavorError, match="found 'fusionSC'"):
        parse_selectors(["fusionSC"], only_fc)

    kept = parse_selectors(["fusion", "fusionSC", "fusionFC"], only_fc, skip_empty=True)

    assert [s.name for s in kept] == ["fusion", "fusionFC"]


@pytest.mark.parametrize("text", ["my-name=fusion", "FCcorr_fs86_bpf", "x=", "=fusion"])
def test_bad_selectors_are_refused(text: str) -> None:
    """Names with signs, unknown flavors and empty selections are FlavorErrors."""
    with pytest.raises(FlavorError):
        parse_selector(text, FLAVORS)


def test_ids_do_as_well_as_flavors(latents: dict[Flavor, np.ndarray]) -> None:
    """Latents by id are fused as latents by flavor are."""
    by_id = {flavor.name: rows for flavor, rows in latents.items()}
    np.testing.assert_array_equal(fuse(by_id, "fusionSC"), fuse(latents, "fusionSC"))
