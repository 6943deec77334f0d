"""The time per run of this project's peer, from when epochs ended."""

import pytest
from benchmarks.peers.population import seconds_a_run

EPOCH, SETTING_UP = 2.0, 5.0

Ended = dict[tuple[str, ...], list[float]]


def lane(groups: list[tuple[str, ...]], epochs: int, begun: float) -> Ended:
    """Times at which the epochs of groups end that train one after another, each set up before."""
    ended = {}
    for group in groups:
        begun += SETTING_UP
        ended[group] = [begun + EPOCH * (epoch + 1) for epoch in range(epochs)]
        begun = ended[group][-1]
    return ended


def test_a_single_run_takes_its_own_time_without_the_first_epoch() -> None:
    assert seconds_a_run(lane([("a",)], 4, 0.0)) == pytest.approx(EPOCH)


def test_runs_on_two_cores_take_half_of_it_each() -> None:
    ended = lane([("a",), ("b",), ("c",)], 4, 0.0) | lane([("d",), ("e",), ("f",)], 4, 0.7)
    assert seconds_a_run(ended) == pytest.approx(EPOCH / 2)


def test_runs_of_a_stack_share_its_time() -> None:
    ended = lane([("a", "b", "c", "d")], 4, 0.0) | lane([("e", "f", "g", "h")], 4, 0.7)
    assert seconds_a_run(ended) == pytest.approx(EPOCH / 8)


def test_runs_told_one_by_one_after_a_common_epoch_share_it_too() -> None:
    ended: Ended = {
        (str(run),): [10.0 + run * 1e-6 + EPOCH * epoch for epoch in range(3)] for run in range(6)
    }
    assert seconds_a_run(ended) == pytest.approx(EPOCH / 6, rel=1e-5)
