"""Addresses of models in MLflow's registry."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tracking.models.conftest import DOCUMENT

from offset_autoencoder.cli.apply import champion_address, download_model
from offset_autoencoder.config import parse_params
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import write_json
from offset_autoencoder.tracking.record_types import StoreState


def test_the_champion_is_that_of_the_registered_model_and_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def address(name: str | None) -> str:
        return champion_address(parse_params({**DOCUMENT, "tracking": {"registered_model": name}}))

    monkeypatch.chdir(tmp_path)
    assert address("mine") == "models:/mine@champion"
    with pytest.raises(InputError, match=r"tracking\.registered_model: is null"):
        address(None)
    digests = {split: {"x": split * 9} for split in ("train", "validation", "test")}
    samples = dict.fromkeys(digests, 4)
    schema = {"source": "digits", "digests": digests, "samples": samples, "input_dim": 3}
    write_json(tmp_path / "data" / "prepared" / "schema.json", schema)
    assert address("mine") == "models:/mine@champion-digits-validati"
    state = StoreState(champions={"champion": "2", "champion-mnist-0123abcd": "2"})
    monkeypatch.setattr("offset_autoencoder.cli.apply.read_state", lambda *_: state)
    with pytest.raises(InputError) as refused:
        address("mine")
    assert str(refused.value) == (
        "champion: data/prepared has none yet, which would be champion-digits-validati of mine; "
        "there are champion-mnist-0123abcd (version 2) (dvc repro publishes it)"
    )


@pytest.mark.parametrize("address", ["models:/", "models://", "models:/@"])
def test_an_address_names_a_model(address: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no model"):
        download_model(address, tmp_path)


def test_a_store_that_is_not_there_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="there is no MLflow store sqlite"):
        download_model("models:/mine@champion", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(InputError) as refused:
        download_model("models:/mine@champion", tmp_path)
    assert str(refused.value) == (
        "models:/mine@champion: http://me:***@127.0.0.1:9 does not give it: cannot be reached: "
        "[Errno 111] Connection refused (run the command again when it answers)"
    )
