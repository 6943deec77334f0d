"""The plan, checked by carrying it out on a model of a store and planning again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from offset_autoencoder.tracking.publish import Plan, make_plan
from offset_autoencoder.tracking.record_types import (
    CONTENT,
    CURRENT,
    CURVES,
    KEY,
    PARENT,
    ROLE,
    Record,
    StoredRun,
    StoreState,
)

EXPERIMENT = Record("experiment", "e", "parent", "FINISHED", {}, {}, {})


def setting(key: str) -> Record:
    return Record("setting", key, key, "FINISHED", {}, {}, {}, parent=EXPERIMENT.record_id)


def run(key: str, mse: float = 1.0) -> Record:
    return Record("run", key, key, "FINISHED", {}, {"mse": mse}, {}, parent=("setting", "s"))


def all_of(keys: Iterable[str]) -> list[Record]:
    return [EXPERIMENT, setting("s"), *(run(key) for key in sorted(keys))]


def written(record: Record, mlflow_id: str, parent: str | None) -> StoredRun:
    tags = {ROLE: record.role, KEY: record.key, CURRENT: "true", CONTENT: record.content}
    return StoredRun(mlflow_id, record.status, "", tags | ({PARENT: parent} if parent else {}))


THERE = (written(EXPERIMENT, "p", None), written(setting("s"), "q", "p"))


def carried_out(plan: Plan, state: StoreState) -> StoreState:
    """Content of a store after the plan, by its definition."""
    gone = {present.mlflow_id for present in plan.discard}
    present = {item.mlflow_id: item for item in state.runs if item.mlflow_id not in gone}
    ids: dict[Any, str] = {}
    for step in plan.steps:
        record, old = step.record, step.stored
        parent_id = ids[record.parent] if record.parent else None
        identity = old.mlflow_id if old else f"new-{record.role}-{record.key}"
        ids[record.record_id] = identity
        if step.action == "keep":
            assert old is not None
            tags = {key: value for key, value in old.tags.items() if key != PARENT}
            tags |= {CURRENT: "true"} | ({PARENT: parent_id} if parent_id else {})
            present[identity] = replace(old, tags=tags)
        else:
            present[identity] = written(record, identity, parent_id)
    for left in plan.retire:
        status = "KILLED" if left.status == "RUNNING" else left.status
        tags = {**left.tags, CURRENT: "false"}
        present[left.mlflow_id] = replace(left, status=status, tags=tags)
    return StoreState("1", False, tuple(present.values()))


@st.composite
def stores(draw: st.DrawFn) -> StoreState:
    present = []
    for number in range(draw(st.integers(0, 8))):
        record = draw(
            st.sampled_from([run("a"), run("a", 2.0), run("b"), run("c"), setting("s")])
            | st.sampled_from([setting("t"), EXPERIMENT, replace(EXPERIMENT, key="other")])
        )
        item = written(record, f"id{number}", draw(st.sampled_from(["id0", "p", None])))
        tags = dict(item.tags)
        tags[CURRENT] = draw(st.sampled_from(["true", "false"]))
        if draw(st.booleans()):
            del tags[CONTENT]
            tags |= {CURVES: "x"} if draw(st.booleans()) else {}
        status = draw(st.sampled_from(["FINISHED", "RUNNING", "KILLED"]))
        present.append(replace(item, status=status, tags=tags))
    return StoreState("1", False, tuple(present))


@given(stores(), st.sets(st.sampled_from("abd")))
@settings(max_examples=200, deadline=None)
def test_any_store_is_brought_in_line_at_once(state: StoreState, wanted: set[str]) -> None:
    records = all_of(wanted)
    after = carried_out(make_plan(records, state), state)
    assert make_plan(records, after).is_nothing
    by_id = {item.mlflow_id: item for item in after.runs}
    current = [item for item in after.runs if item.is_current]
    assert sorted(item.record_id for item in current) == sorted(
        record.record_id for record in records
    )
    for item in current:
        parent = by_id[item.parent_id].record_id[0] if item.parent_id else None
        assert parent == {"run": "setting", "setting": "experiment"}.get(item.record_id[0])
    assert len({item.record_id for item in after.runs}) == len(after.runs)
    assert not any(item.status == "RUNNING" for item in after.runs)
    assert all(item.is_complete for item in after.runs if item.record_id[0] != "experiment")


@given(stores())
@settings(max_examples=50, deadline=None)
def test_history_is_never_discarded(state: StoreState) -> None:
    plan = make_plan(all_of("a"), state)
    kept = {item.record_id for item in state.runs} - {item.record_id for item in plan.discard}
    for item in plan.discard:
        alone = sum(other.record_id == item.record_id for other in state.runs) == 1
        assert not (alone and item.is_complete)
    assert kept <= {item.record_id for item in state.runs}


def test_of_doubled_runs_every_publisher_keeps_the_same() -> None:
    doubled = (written(run("a"), "2", "q"), written(run("a"), "1", "q"))
    for order in (doubled, doubled[::-1]):
        plan = make_plan(all_of("a"), StoreState("1", False, (*order, *THERE)))
        assert [item.mlflow_id for item in plan.discard] == ["2"]
        assert plan.steps[-1].stored == doubled[1]


def test_store_in_line_needs_nothing() -> None:
    state = StoreState("1", False, (*THERE, written(run("a"), "1", "q")))
    assert make_plan(all_of("a"), state).is_nothing
    assert not make_plan([*all_of(""), run("a", 2.0)], state).is_nothing
    assert not make_plan(all_of(""), state).is_nothing
    elsewhere = StoreState("1", False, (*THERE, written(run("a"), "1", "p")))
    assert not make_plan(all_of("a"), elsewhere).is_nothing


def test_a_run_in_training_elsewhere_is_let_alone() -> None:
    live = replace(written(run("b"), "1", None), status="RUNNING", tags={ROLE: "run", KEY: "b"})
    state = StoreState("1", False, (*THERE, written(run("a"), "2", "q"), live))
    assert make_plan(all_of("a"), state, is_alive=lambda _: True).is_nothing
    assert make_plan(all_of("a"), state).discard == (live,)
