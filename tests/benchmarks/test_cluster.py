"""The experiment that is trained locally and on a cluster."""

from benchmarks.cluster import experiment

from offset_autoencoder.config import parse_params


def test_ten_settings_and_sixty_seeds_are_six_hundred_runs() -> None:
    params = parse_params(experiment(seeds=60, epochs=2))
    assert len(params.runs) == 600
    assert {run.setting.train.epochs for run in params.runs} == {2}
