"""Runs brought together by setting."""

from __future__ import annotations

from collections.abc import Container, Sequence

from offset_autoencoder.config import Run, Setting


def runs_by_setting(
    finished: Sequence[tuple[str, Run]], known: Container[str]
) -> list[tuple[Setting, list[tuple[str, Run]]]]:
    """The runs of each setting, by ascending seed, the settings in the order of the runs.

    Args:
        finished: Ids and runs.
        known: The ids that count; a setting without any is left out.
    """
    groups: dict[str, list[tuple[str, Run]]] = {}
    for run_id, run in finished:
        if run_id in known:
            groups.setdefault(run.setting.label, []).append((run_id, run))
    for members in groups.values():
        members.sort(key=lambda member: member[1].seed)
    return [(members[0][1].setting, members) for members in groups.values()]
