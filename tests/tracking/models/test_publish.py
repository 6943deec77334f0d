"""The store's models are the best runs', each once, and the champion is the best of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tracking.models.conftest import Project, run_id

from offset_autoencoder.errors import InputError
from offset_autoencoder.tracking import logged_models, served_models

BEST = sorted(
    [f"none {run_id('none', 1)}", f"frozen {run_id('frozen', 0)}", f"code {run_id('code', 0)}"]
)


def test_the_best_run_of_each_model_is_logged_and_linked(project: Project) -> None:
    said = project.publish()
    assert project.current() == BEST
    assert project.versions() == ["none*"]  # code is better, but needs the label
    assert said == [
        "models: 3 served (3 new)",
        "champion of offset-autoencoder on digits is version 1: none, "
        "chosen by validation mse 0.4; test mse 0.4",
    ]
    client = project.client
    for model in project.logged():
        run = client.get_run(model.source_run_id)
        assert run.data.tags["record_key"] == model.tags["record_key"]
        assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
        assert {metric.key for metric in model.metrics} == {"mse", "psnr"}
        assert len(client.get_metric_history(run.info.run_id, "mse")) == 1
        assert model.params == run.data.params
    champion = client.get_model_version_by_alias("offset-autoencoder", "champion")
    model_id = champion.source.removeprefix("models:/")
    assert champion.run_id == client.get_logged_model(model_id).source_run_id
    assert champion.tags["mse"] == champion.tags["mse_validation"] == "0.4"
    assert champion.tags["chosen_by"] == "mse_validation"


def test_a_model_that_is_logged_says_what_it_takes_and_holds_no_pickle(project: Project) -> None:
    import mlflow
    from mlflow.models import Model

    project.publish()
    for model in project.logged():
        place = Path(mlflow.artifacts.download_artifacts(model.model_uri))
        said = Model.load(place)
        assert said.signature.inputs is None  # or MLflow would refuse other types than these
        outputs = {spec.name: spec.shape for spec in said.signature.outputs}
        assert outputs == {"reconstruction": (-1, 3), "offset": (-1, 2), "code": (-1, 2)}
        assert said.metadata is not None
        inputs = dict(said.metadata["inputs"])
        assert inputs.pop("x").startswith("(samples, 3), real numbers in the units of the data")
        assert inputs == ({"labels": "(samples,), whole numbers"} if model.name == "code" else {})
        required = (place / "requirements.txt").read_text().split()
        assert all("==" in line for line in required)
        assert {line.partition("==")[0] for line in required} >= {"tensorflow", "keras", "mlflow"}
        example: Any = said.load_input_example(str(place))
        assert example["x"].tolist() == [[0.5] * 3] * 2
        for file in place.rglob("*"):
            assert file.suffix not in (".pkl", ".pickle", ".joblib")
            assert not file.is_file() or not file.read_bytes().startswith(b"\x80")


def test_nothing_new_is_nothing_done_and_imports_no_mlflow(project: Project) -> None:
    project.publish()
    before = (project.root / "mlflow.db").read_bytes()
    program = (
        "import sys\n"
        "from offset_autoencoder.config import load_params\n"
        "from offset_autoencoder.tracking.served_models import publishing_models\n"
        "with publishing_models(load_params()) as models:\n"
        "    print(models.finish(), {'mlflow', 'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[] set()\n"
    assert (project.root / "mlflow.db").read_bytes() == before


class Killed(BaseException):
    """Exception that no handler takes for an error of its own."""


@pytest.mark.parametrize("is_done", [False, True])
def test_a_kill_at_any_call_leaves_nothing_doubled_and_nothing_missing(
    project: Project, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    """``is_done``: the store has carried the call out, but the publisher never heard of it."""
    from mlflow.tracking import MlflowClient

    writing = [
        *("create_logged_model", "log_model_artifacts", "log_outputs", "log_batch"),
        *("finalize_logged_model", "set_tag", "create_registered_model"),
        *("create_model_version", "set_registered_model_alias", "set_logged_model_tags"),
    ]
    allowed = 0

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal allowed
            allowed -= 1
            if allowed == -1 and not is_done:
                raise Killed
            answer = method(*arguments, **options)
            if allowed == -1 and is_done:
                raise Killed
            return answer

        return call

    project.write(mse={("none", 0): 0.5, ("frozen", 0): 0.6})
    with monkeypatch.context() as patch:
        for name in writing:
            patch.setattr(MlflowClient, name, counted(getattr(MlflowClient, name)))
        kills = 0
        # Each attempt gets one call further than the one before it.
        while True:
            allowed = kills
            try:
                project.publish()
                break
            except Killed:
                kills += 1
    assert kills > 5
    assert project.current() == sorted(f"{m} {run_id(m, 0)}" for m in ("none", "frozen"))
    assert [model.status for model in project.logged()] == ["READY", "READY"]
    assert project.versions() == ["none*"]
    assert project.publish() == []


def test_a_better_run_becomes_the_champion_and_a_worse_one_does_not(project: Project) -> None:
    project.publish()
    project.write(mse={("none", 0): 0.5, ("frozen", 0): 0.39})
    said = project.publish()[-1]
    assert "version 2: frozen, chosen by validation mse 0.39; test mse 0.39, before it" in said
    assert said.endswith("before it version 1 with 0.4")
    assert project.versions() == ["none", "frozen*"]
    assert project.current() == sorted(f"{m} {run_id(m, 0)}" for m in ("none", "frozen"))
    project.write(mse={("none", 0): 0.5, ("frozen", 1): 0.45})
    said = project.publish()[-1]
    assert "stays version 2: by validation mse 0.39, the best now is 0.45" in said
    assert project.versions() == ["none", "frozen*"]
    assert project.publish() == []


def test_an_alias_that_another_publisher_sets_at_the_same_moment_is_no_fault(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    late: set[str] = set()
    real = SqlAlchemyStore.set_registered_model_alias

    def call(self: Any, name: str, alias: str, version: str) -> Any:
        result = real(self, name, alias, version)  # type: ignore[no-untyped-call]
        if alias not in late:
            late.add(alias)
            raise MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed")
        return result

    monkeypatch.setattr(SqlAlchemyStore, "set_registered_model_alias", call)
    assert "is version 1" in project.publish()[-1]
    assert len(late) == 2
    assert project.versions() == ["none*"]


@pytest.mark.parametrize("deleted", ["version", "alias", "registered model", "logged model"])
def test_what_was_deleted_is_replaced(project: Project, deleted: str) -> None:
    project.publish()
    client, name = project.client, "offset-autoencoder"
    champion = client.get_model_version_by_alias(name, "champion")
    if deleted == "version":
        client.delete_model_version(name, champion.version)
    elif deleted == "alias":
        client.delete_registered_model_alias(name, "champion")
    elif deleted == "registered model":
        client.delete_registered_model(name)
    else:
        client.delete_logged_model(champion.source.removeprefix("models:/"))
    said = project.publish()
    new = ["models: 3 served (1 new)"] if deleted == "logged model" else []
    version = {"alias": "stays version 1", "registered model": "is version 1"}
    assert said[:-1] == new
    line = f"champion of {name} on digits {version.get(deleted, 'is version 2')}"
    assert said[-1].startswith(line)
    assert project.current() == BEST
    assert project.versions()[-1] == "none*"
    source = client.get_model_version_by_alias(name, "champion").source
    client.get_logged_model(source.removeprefix("models:/"))
    assert project.publish() == []


def test_a_model_whose_first_seeds_run_diverged_is_named(project: Project) -> None:
    project.mse[("code", 0)], project.mse[("code", 1)] = None, 0.1
    project.write()
    seeds = project.root / "data" / "prepared" / "splits.json"
    seeds.write_text('{"seeds": [0, 1], "value_range": [0, 1]}')
    line = (
        "not served: code: no run of seed 0, the first, whose runs alone compare, has a mse by "
        "validation"
    )
    assert project.publish()[-1] == line
    assert project.publish() == [line]
    seeds.unlink()
    assert "not served" not in "".join(project.publish())
    project.mse[("code", 1)] = None
    project.tracking = {"models": "all"}
    assert project.write().publish()[-1] == "not served: code: no run finished"


def test_a_run_that_comes_back_is_brought_back_and_not_logged_again(project: Project) -> None:
    project.publish()
    before = dict(project.mse)
    project.write(mse={("none", 0): 0.5}).publish()
    assert project.current() == [f"none {run_id('none', 0)}"]
    project.write(mse=before).publish()
    assert project.current() == BEST
    assert len(project.logged()) == 4


def test_a_run_that_was_published_anew_gets_a_model_of_its_own(project: Project) -> None:
    project.publish()
    client = project.client
    old = client.get_model_version_by_alias("offset-autoencoder", "champion").run_id
    client.delete_run(old)
    project.write().publish()
    assert project.current() == BEST
    current = {m.source_run_id for m in project.logged() if m.tags["current"] == "true"}
    assert old not in current
    assert project.versions() == ["none*"]


def test_the_test_split_has_no_part_in_the_choice(project: Project) -> None:
    """The best by validation is the worst on the test split; the record has both figures."""
    project.mse = {("none", 0): 0.5, ("none", 1): 0.4, ("frozen", 0): 0.3}
    project.validation = {("none", 0): 0.2, ("none", 1): 0.25, ("frozen", 0): 0.3}
    said = project.write().publish()[-1]
    assert said.endswith("version 1: none, chosen by validation mse 0.2; test mse 0.5")
    assert project.current() == [f"frozen {run_id('frozen', 0)}", f"none {run_id('none', 0)}"]
    champion = project.client.get_model_version_by_alias("offset-autoencoder", "champion")
    assert "chosen by validation mse 0.2; test mse 0.5. Chosen as the best" in champion.description
    assert (champion.tags["mse_validation"], champion.tags["mse"]) == ("0.2", "0.5")
    # One that is better on the test split alone does not take its place.
    project.mse[("frozen", 1)], project.validation[("frozen", 1)] = 0.01, 0.21
    project.write().publish()
    assert project.versions() == ["none*"]
    assert project.current()[0] == f"frozen {run_id('frozen', 1)}"


def test_only_runs_of_one_split_compare(project: Project) -> None:
    """Where each seed has validation samples of its own, the first one's run is chosen."""
    seeds = project.root / "data" / "prepared" / "splits.json"
    for first, others in ((0, 1), (1, 0)):
        seeds.write_text(f'{{"seeds": [{first}, {others}], "value_range": [0, 1]}}')
        served = served_models.runs_to_serve(project.params, project.root)
        of_first = {run_id(model, first) for model in ("none", "frozen", "code")}
        assert {run.run for run in served} == of_first - {run_id("code", 1)}  # which diverged
    seeds.unlink()
    assert sorted(run.key for run in served_models.runs_to_serve(project.params, project.root)) == (
        BEST
    )


def test_a_champion_that_was_chosen_by_its_test_metric_is_said_to_be(project: Project) -> None:
    """Of an earlier version, whose record has no figure by validation, nothing is made up."""
    project.publish()
    client = project.client
    for tag in ("mse_validation", "psnr_validation", "validation_samples_sha256"):
        client.delete_model_version_tag("offset-autoencoder", "1", tag)
    project.mse = {("none", 0): 0.5, ("frozen", 0): 0.01}
    line = project.write().publish()[-1]
    assert "stays version 1: its mse by validation is not known" in line
    assert "give tracking.registered_model another name" in line
    assert project.versions() == ["none*"]


def test_each_data_set_has_a_champion_and_the_latest_is_the_champion(project: Project) -> None:
    def aliases() -> dict[str, str]:
        found = project.client.get_registered_model("offset-autoencoder").aliases
        return {alias: str(version) for alias, version in found.items()}

    project.publish()
    (own,) = aliases().keys() - {"champion"}
    assert own.startswith("champion-digits-")
    # Worse than the champion before it, with which it does not compare.
    project.samples, project.mse = 0.25, {("none", 0): 0.9}
    line = project.write().publish()[-1]
    assert line == (
        "champion of offset-autoencoder on digits is version 2: none, "
        "chosen by validation mse 0.9; test mse 0.9"
    )
    assert project.versions() == ["none", "none*"]
    (other,) = aliases().keys() - {"champion", own}
    assert aliases() == {own: "1", other: "2", "champion": "2"}
    # The former data again: neither is a worse run better for the time between.
    project.samples, project.mse = 0.5, {("frozen", 0): 0.41}
    line = project.write().publish()[-1]
    assert "on digits stays version 1: by validation mse 0.4, the best now is 0.41" in line
    assert aliases() == {own: "1", other: "2", "champion": "1"}
    assert project.publish() == []
    # Whoever shares the registered model may have published between.
    project.client.set_registered_model_alias("offset-autoencoder", "champion", "2")
    assert len(project.publish()) == 1
    assert aliases()["champion"] == "1"


@pytest.mark.parametrize(
    ("tracking", "current", "versions"),
    [
        ({"models": "none"}, [], []),
        ({"registered_model": None}, BEST, []),
        ({"champion_metric": "psnr"}, BEST, ["none*"]),  # higher is better: −0.4 over −0.6
        (
            {"models": "all"},
            sorted([*BEST, f"none {run_id('none', 0)}", f"frozen {run_id('frozen', 1)}"]),
            ["none*"],
        ),
    ],
)
def test_params_say_which_are_served(
    project: Project, tracking: dict[str, Any], current: list[str], versions: list[str]
) -> None:
    project.write(tracking=tracking).publish()
    assert project.current() == current
    assert project.versions() == versions


def test_a_model_that_cannot_be_served_is_said_once(
    project: Project, refuse: Callable[..., None]
) -> None:
    refuse("none")
    said = project.publish()
    assert "not served: its network cannot be saved" in said
    assert project.versions() == ["frozen*"]
    assert project.publish() == []


def test_a_temporary_clone_serves_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project.publish()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    project.tracking = {"models": "none", "uri": f"sqlite:///{project.root / 'mlflow.db'}"}
    assert project.write().publish() == []
    assert project.current() == BEST


def test_a_writer_that_dies_is_one_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_models, "exporting", logged_models.exporting)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(InputError, match="the process that writes them ended"):
        project.publish()
    assert project.logged() == []
