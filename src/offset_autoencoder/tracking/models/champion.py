"""The registered model: a version for each champion there was, the alias on the present one.

A champion is a run that needs nothing but x and had, when it was published, a better test metric
than the champion before, measured on the same test samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.tracking.models.wanted import Wanted, best
from offset_autoencoder.tracking.records import KEY

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

ALIAS = "champion"
_SAMPLES = "test_samples_sha256"
_OTHER_NAME = "to begin anew, give tracking.registered_model another name"


@dataclass(frozen=True)
class Contest:
    """What is decided on.

    Attributes:
        name: The registered model.
        metric: By which the better one is told.
        test_samples_sha256: Digest of the test samples that it was measured on.
        candidate: The best run there is; None where there is none that needs nothing but x.
    """

    name: str
    metric: str
    test_samples_sha256: str
    candidate: Wanted | None

    @property
    def content(self) -> str:
        """Equal for contests that come out alike, unless others publish in between."""
        candidate = self.candidate and [self.candidate.key, repr(self.candidate.test[self.metric])]
        return sha256_of_json([self.name, self.metric, self.test_samples_sha256, candidate])


def contest(
    name: str, metric: str, samples: str, servable: Sequence[Wanted], alone: frozenset[str]
) -> Contest:
    """What is decided on, of the models that are logged.

    Args:
        name: The registered model.
        metric: By which the better one is told.
        samples: Digest of the test samples.
        servable: The runs that are served.
        alone: The models among them that need nothing but x.
    """
    return Contest(name, metric, samples, best((w for w in servable if w.model in alone), metric))


def decide(client: MlflowClient, contest: Contest, model_id: str, mlflow_id: str) -> str:
    """Make the candidate the champion, if it is better than the present one.

    Args:
        client: The store.
        contest: What is decided on; it has a candidate.
        model_id: The candidate's logged model.
        mlflow_id: The candidate's MLflow run.

    Returns:
        One line that says how it came out.
    """
    candidate, metric, name = contest.candidate, contest.metric, contest.name
    if candidate is None:
        return f"{name} has no candidate"
    value, champion = candidate.test[metric], _champion(client, name)
    if champion is not None:
        tags, said = champion.tags, f"champion of {name} stays version {champion.version}"
        if tags.get(KEY) == candidate.key and tags.get(_SAMPLES) == contest.test_samples_sha256:
            return said
        if tags.get(_SAMPLES) != contest.test_samples_sha256:
            return f"{said}: it was measured on other test samples ({_OTHER_NAME})"
        before = _number(tags.get(metric))
        if before is None:
            return f"{said}: its {metric} is not known ({_OTHER_NAME})"
        if not (value > before if higher_is_better(metric) else value < before):
            return f"{said}: {metric} {before:.4g}, the best now is {value:.4g}"
        was = f", before it version {champion.version} with {before:.4g}"
    else:
        was = ""
    version = _version(client, contest, candidate, model_id, mlflow_id)
    client.set_registered_model_alias(name, ALIAS, version)
    return f"champion of {name} is version {version}: {candidate.model}, {metric} {value:.4g}{was}"


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        # SQLite answers INVALID_PARAMETER_VALUE where there is a model but no such alias.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _version(
    client: MlflowClient, contest: Contest, candidate: Wanted, model_id: str, mlflow_id: str
) -> str:
    """The version of the candidate's logged model: a killed publisher may have left it."""
    from mlflow.exceptions import MlflowException

    source = f"models:/{model_id}"
    try:
        client.create_registered_model(
            contest.name,
            description=f"Versions are runs of offset-autoencoder. {ALIAS!r} is the one with the "
            "best test metric of its own that needs nothing but x.",
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for version in client.search_model_versions(f"name = '{contest.name}'"):
        if version.source == source:
            return str(version.version)
    tags: dict[str, Any] = {
        KEY: candidate.key,
        _SAMPLES: contest.test_samples_sha256,
        "run_id_sha256": candidate.run,
        "chosen_by": contest.metric,
        **{metric: repr(value) for metric, value in candidate.test.items()},
    }
    made = client.create_model_version(
        contest.name,
        source=source,
        run_id=mlflow_id,
        tags=tags,
        description=f"{candidate.model}, run {candidate.run[:12]}: test {contest.metric} "
        f"{candidate.test[contest.metric]:.4g}. Chosen as the best of many runs by that very "
        "figure, which therefore flatters it a little.",
        model_id=model_id,
    )
    return str(made.version)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
