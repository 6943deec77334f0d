"""The champion of a data set: the best run by validation that needs nothing but x.

The registered model has a version per champion there was. An alias per data set names the present
one of it, and the alias ``champion`` that of the data set which was published last. A run takes the
place of a champion if it has a better metric on the same validation samples. The test split has no
part in the choice, so that its figure, which stands beside, is not flattered by it.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offset_autoencoder.evaluation.metrics import VALIDATION, badness
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.tracking import store
from offset_autoencoder.tracking.logged_models import ServedRun
from offset_autoencoder.tracking.record_types import KEY, DataSet, read_splits
from offset_autoencoder.tracking.store import CHAMPION
from offset_autoencoder.tracking.writer import call_again

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

# Tags of a registered version: what its metric was measured on that it was chosen by.
_SAMPLES, _DATA = "validation_samples_sha256", "data"
_DIGEST_DIGITS = 8


def validation_samples(root: Path, seed: int) -> DataSet:
    """The validation split of a seed, by which the runs of a data set are compared.

    Raises:
        InputError: where ``data/prepared`` is missing or damaged.
    """
    return next(split for split in read_splits(root, seed) if split.context == "validation")


def champion_alias(samples: DataSet) -> str:
    """The alias of the champion of a data set: ``"champion-digits-3fa9c1e2"``."""
    name = re.sub(r"[^\w-]+", "-", samples.name, flags=re.ASCII)[:100]
    return f"{CHAMPION}-{name}-{samples.sha256[:_DIGEST_DIGITS]}"


@dataclass(frozen=True)
class ChampionSelection:
    """Selection of the champion of a data set among the runs that need nothing but x."""

    name: str  # the registered model
    metric: str
    samples: DataSet  # the validation samples that it was measured on
    candidate: ServedRun | None

    @property
    def content(self) -> str:
        """Equal for selections that come out alike, unless others publish in between."""
        one, column = self.candidate, f"{self.metric}{VALIDATION}"
        candidate = one and [one.key, repr(one.validation[self.metric])]
        return sha256_of_json([self.name, column, self.samples.sha256, candidate])

    @property
    def _aliases(self) -> tuple[str, str]:
        return champion_alias(self.samples), CHAMPION

    def is_in_place(self, champions: Mapping[str, str]) -> bool:
        """True if the data set has a champion, and ``champion`` is this; by alias its version."""
        own, latest = map(champions.get, self._aliases)
        return own is not None and own == latest

    def decide(self, client: MlflowClient, candidate: ServedRun, model: LoggedModel) -> str:
        """Make the candidate the champion, if it is better; one line that says how it came out."""
        champions = self._champions(client)
        present = self._present(client, champions)
        reason = None if present is None else self._reason_to_stay(candidate, present)
        champion_of = f"champion of {self.name} on {self.samples.name}"
        if present is not None and reason is not None:
            version, line = str(present.version), f"{champion_of} stays version {present.version}"
            line += reason
        else:
            version = self._version(client, candidate, model)
            outcome = f"version {version}: {candidate.model}, {_chosen_by(candidate, self.metric)}"
            line = f"{champion_of} is {outcome}"
            if present is not None:
                before = present.tags[f"{self.metric}{VALIDATION}"]
                line += f", before it version {present.version} with {float(before):.4g}"
        for alias in self._aliases:
            if champions.get(alias) != version:
                place = self.name, alias, version
                call_again(partial(client.set_registered_model_alias, *place))
        return line

    def _reason_to_stay(self, candidate: ServedRun, present: ModelVersion) -> str | None:
        """Why the present champion stays, as the end of a line; None: the candidate is better."""
        metric = self.metric
        if present.tags.get(KEY) == candidate.key:
            return ""
        before = math.nan
        with contextlib.suppress(ValueError):
            before = float(present.tags.get(f"{metric}{VALIDATION}", ""))
        if not math.isfinite(before):
            mend = "to begin anew, give tracking.registered_model another name"
            return f": its {metric} by validation is not known ({mend})"
        value = candidate.validation[metric]
        if badness(metric, value) >= badness(metric, before):
            return f": by validation {metric} {before:.4g}, the best now is {value:.4g}"
        return None

    def _champions(self, client: MlflowClient) -> dict[str, str]:
        """Champions by alias, of a registered model that is there from now on."""
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(
                self.name,
                description=f"Versions are runs of offset-autoencoder. {CHAMPION!r} is the one "
                "with the best metric of its own on the validation split that needs nothing but x, "
                "of the data set that was published last; each data set has an alias of its own. "
                "Where each seed has a split of its own, it is the best of the first seed's runs: "
                "only these are measured on the same samples.",
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return store.champions(client, self.name)

    def _present(self, client: MlflowClient, champions: Mapping[str, str]) -> ModelVersion | None:
        """The version that is the data set's champion.

        An earlier version of this project had the alias ``champion`` alone.
        """
        for alias in self._aliases:
            if alias in champions:
                version = client.get_model_version(self.name, champions[alias])
                if version.tags.get(_SAMPLES, self.samples.sha256) == self.samples.sha256:
                    return version
        return None

    def _version(self, client: MlflowClient, candidate: ServedRun, model: LoggedModel) -> str:
        """The version of the candidate's logged model: a killed publisher may have left it."""
        source = f"models:/{model.model_id}"
        for version in client.search_model_versions(f"name = '{self.name}'"):
            if version.source == source:
                return str(version.version)
        tags: dict[str, Any] = {
            KEY: candidate.key,
            _SAMPLES: self.samples.sha256,
            _DATA: f"{self.samples.name} with {self.samples.shape[1]} features",
            "run_id_sha256": candidate.run,
            "chosen_by": f"{self.metric}{VALIDATION}",
            **{f"{name}{VALIDATION}": repr(value) for name, value in candidate.validation.items()},
            **{metric: repr(value) for metric, value in candidate.test.items()},
        }
        made = client.create_model_version(
            self.name,
            source=source,
            run_id=model.source_run_id,
            tags=tags,
            description=f"{candidate.model}, run {candidate.run[:12]}: "
            f"{_chosen_by(candidate, self.metric)}. Chosen as the best of many runs by validation, "
            "whose figure therefore flatters it a little; the test split had no part in it.",
            model_id=model.model_id,
        )
        return str(made.version)


def _chosen_by(run: ServedRun, metric: str) -> str:
    """``"chosen by validation mse 0.0075; test mse 0.0077"``."""
    test = f"{run.test[metric]:.4g}" if metric in run.test else "not known"
    return f"chosen by validation {metric} {run.validation[metric]:.4g}; test {metric} {test}"
