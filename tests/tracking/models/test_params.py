"""Values of ``tracking:`` about models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.tracking.models.conftest import DOCUMENT

from offset_autoencoder.config import parse_params
from offset_autoencoder.errors import InputError
from offset_autoencoder.stages import publish
from offset_autoencoder.tracking.served_models import champion_metric


def params(**tracking: Any) -> Any:
    return parse_params({**DOCUMENT, "tracking": tracking})


def test_by_default_the_best_are_served_and_chosen_by_the_metric_of_evaluate() -> None:
    found = params()
    tracking = found.tracking
    assert (tracking.models, tracking.registered_model) == ("best", "offset-autoencoder")
    assert champion_metric(found) == found.evaluate.metric
    assert champion_metric(params(champion_metric="psnr")) == "psnr"


@pytest.mark.parametrize("nothing", [None, "null", ""])
def test_null_is_none_however_it_was_written(nothing: str | None) -> None:
    found = params(models=nothing, registered_model=nothing, champion_metric=nothing).tracking
    assert (found.models, found.registered_model, found.champion_metric) == ("none", None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("models", "few"),
        ("registered_model", "a/b"),  # MLflow would take it for the URI of a version
        ("registered_model", "a:b"),
        ("registered_model", 3),
    ],
)
def test_a_slip_is_named(key: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"tracking.{key}"):
        params(**{key: value})


def test_publish_names_an_unknown_champion_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document = {**DOCUMENT, "tracking": {"champion_metric": "val_loss"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match=r"tracking.champion_metric: unknown value 'val_loss'"):
        publish.main()
    assert not (tmp_path / "mlflow.db").exists()
