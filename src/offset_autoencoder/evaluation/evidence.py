"""What all runs show together: the summaries over seeds, and the verdict on each offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offset_autoencoder.config import Run
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.examine import Evidence
from offset_autoencoder.evaluation.gap import GapSummary, summarise_gaps
from offset_autoencoder.evaluation.intervention_summary import (
    InterventionSummary,
    summarise_interventions,
)
from offset_autoencoder.evaluation.offset_effects import offset_effects
from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict, judge_offsets
from offset_autoencoder.evaluation.probe_summary import ProbeSummary, summarise_probes
from offset_autoencoder.evaluation.response import ResponseSummary, summarise_responses


@dataclass(frozen=True)
class Findings:
    """Everything but the comparison of the settings with each other.

    Attributes:
        interventions: What the interventions do.
        probes: What code and offset tell.
        responses: How the code goes with the offset.
        gaps: The gap between training and test.
        verdicts: What each offset is to its network.
    """

    interventions: Sequence[InterventionSummary]
    probes: Sequence[ProbeSummary]
    responses: Sequence[ResponseSummary]
    gaps: Sequence[GapSummary]
    verdicts: Sequence[OffsetVerdict]


def summarise_evidence(
    finished: Sequence[tuple[str, Run]], evidence: Mapping[str, Evidence], evaluate: Evaluate
) -> Findings:
    """Bring the evidence of the runs together over their seeds.

    Args:
        finished: Ids and runs, in the order of the report.
        evidence: What was found out about each, by id.
        evaluate: The section of params.yaml.
    """
    confidence, metric = evaluate.confidence, evaluate.metric
    interventions = summarise_interventions(
        finished,
        {run_id: one.interventions for run_id, one in evidence.items()},
        confidence=confidence,
    )
    probes = summarise_probes(
        finished, {run_id: one.probes for run_id, one in evidence.items()}, confidence=confidence
    )
    pulls = {run_id: one.pull for run_id, one in evidence.items() if one.pull is not None}
    effects = offset_effects(finished, pulls, interventions, probes, metric=metric)
    return Findings(
        interventions=interventions,
        probes=probes,
        responses=summarise_responses(
            finished,
            {run_id: one.response for run_id, one in evidence.items()},
            confidence=confidence,
        ),
        gaps=summarise_gaps(
            finished,
            {run_id: one.train for run_id, one in evidence.items()},
            {
                run_id: one.metrics[metric]
                for run_id, one in evidence.items()
                if metric in one.metrics
            },
            metric=metric,
            confidence=confidence,
        ),
        verdicts=judge_offsets(
            effects, margin=evaluate.margin, confidence=confidence, power=evaluate.power
        ),
    )
