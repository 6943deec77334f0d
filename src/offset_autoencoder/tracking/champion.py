"""The registered model: a version per champion there was, the alias on the present one.

A champion is a run that needs nothing but x and had, when it was published, a better test metric
than the champion before, measured on the same test samples.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.tracking.record_types import KEY
from offset_autoencoder.tracking.serving_diff import ServedRun

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

ALIAS = "champion"
_SAMPLES = "test_samples_sha256"
_OTHER_NAME = "to begin anew, give tracking.registered_model another name"


@dataclass(frozen=True)
class ChampionSelection:
    """Selection of the champion.

    Attributes:
        name: The registered model.
        metric: The metric that decides.
        test_samples_sha256: Digest of the test samples that it was measured on.
        candidate: The best run there is; None where there is none that needs nothing but x.
    """

    name: str
    metric: str
    test_samples_sha256: str
    candidate: ServedRun | None

    @property
    def content(self) -> str:
        """Equal for selections that come out alike, unless others publish in between."""
        candidate = self.candidate and [self.candidate.key, repr(self.candidate.test[self.metric])]
        return sha256_of_json([self.name, self.metric, self.test_samples_sha256, candidate])

    def decide(self, client: MlflowClient, model_id: str, mlflow_id: str) -> str:
        """Make the candidate the champion, if it is better than the present one.

        Args:
            client: The store.
            model_id: The candidate's logged model.
            mlflow_id: The candidate's MLflow run.

        Returns:
            One line that says how it came out.
        """
        candidate, metric, name = self.candidate, self.metric, self.name
        if candidate is None:
            return f"{name} has no candidate"
        value, champion, replaced = candidate.test[metric], _champion(client, name), ""
        if champion is not None:
            tags, stays = champion.tags, f"champion of {name} stays version {champion.version}"
            is_comparable = tags.get(_SAMPLES) == self.test_samples_sha256
            if is_comparable and tags.get(KEY) == candidate.key:
                return stays
            if not is_comparable:
                return f"{stays}: it was measured on other test samples ({_OTHER_NAME})"
            before = _number(tags.get(metric))
            if before is None:
                return f"{stays}: its {metric} is not known ({_OTHER_NAME})"
            if not (value > before if higher_is_better(metric) else value < before):
                return f"{stays}: {metric} {before:.4g}, the best now is {value:.4g}"
            replaced = f", before it version {champion.version} with {before:.4g}"
        version = self._version(client, candidate, model_id, mlflow_id)
        client.set_registered_model_alias(name, ALIAS, version)
        outcome = f"version {version}: {candidate.model}, {metric} {value:.4g}"
        return f"champion of {name} is {outcome}{replaced}"

    def _version(
        self, client: MlflowClient, candidate: ServedRun, model_id: str, mlflow_id: str
    ) -> str:
        """The version of the candidate's logged model: a killed publisher may have left it."""
        from mlflow.exceptions import MlflowException

        source = f"models:/{model_id}"
        try:
            client.create_registered_model(
                self.name,
                description=f"Versions are runs of offset-autoencoder. {ALIAS!r} is the one with "
                "the best test metric of its own that needs nothing but x.",
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        for version in client.search_model_versions(f"name = '{self.name}'"):
            if version.source == source:
                return str(version.version)
        tags: dict[str, Any] = {
            KEY: candidate.key,
            _SAMPLES: self.test_samples_sha256,
            "run_id_sha256": candidate.run,
            "chosen_by": self.metric,
            **{metric: repr(value) for metric, value in candidate.test.items()},
        }
        made = client.create_model_version(
            self.name,
            source=source,
            run_id=mlflow_id,
            tags=tags,
            description=f"{candidate.model}, run {candidate.run[:12]}: test {self.metric} "
            f"{candidate.test[self.metric]:.4g}. Chosen as the best of many runs by that very "
            "figure, which therefore flatters it a little.",
            model_id=model_id,
        )
        return str(made.version)


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        # SQLite answers INVALID_PARAMETER_VALUE where there is a model but no such alias.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _number(text: str | None) -> float | None:
    with contextlib.suppress(ValueError):
        if math.isfinite(value := float(text or "")):
            return value
    return None
