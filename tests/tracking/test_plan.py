"""The plan, checked by carrying it out on a model of a store and planning again."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from offset_autoencoder.tracking.plan import Plan, make_plan
from offset_autoencoder.tracking.records import CONTENT, CURRENT, KEY, PARENT, ROLE, Record
from offset_autoencoder.tracking.state import Present, StoreState

EXPERIMENT = Record("experiment", "e", "parent", "FINISHED", {}, {}, {})


def run(key: str, mse: float = 1.0) -> Record:
    return Record("run", key, key, "FINISHED", {}, {"mse": mse}, {})


def written(record: Record, mlflow_id: str, parent: str | None = "p") -> Present:
    tags = {ROLE: record.role, KEY: record.key, CURRENT: "true", CONTENT: record.content}
    return Present(mlflow_id, record.status, "", tags | ({PARENT: parent} if parent else {}))


PARENT_THERE = written(EXPERIMENT, "p", None)


def carried_out(plan: Plan, state: StoreState) -> StoreState:
    """What a store would hold after the plan, by its definition."""
    gone = {present.mlflow_id for present in plan.discard}
    present = {item.mlflow_id: item for item in state.present if item.mlflow_id not in gone}
    parent_id = plan.parent.mlflow_id if plan.parent else "new-parent"
    present[parent_id] = written(plan.experiment, parent_id, None)
    for record in plan.create:
        present[f"new-{record.key}"] = written(record, f"new-{record.key}", parent_id)
    for record, old in plan.update:
        present[old.mlflow_id] = written(record, old.mlflow_id, parent_id)
    for kept in plan.adopt(parent_id):
        tags = {**kept.tags, CURRENT: "true", PARENT: parent_id}
        present[kept.mlflow_id] = replace(kept, tags=tags)
    for old in plan.retire:
        status = "KILLED" if old.status == "RUNNING" else old.status
        present[old.mlflow_id] = replace(old, status=status, tags={**old.tags, CURRENT: "false"})
    return StoreState("1", False, tuple(present.values()))


@st.composite
def stores(draw: st.DrawFn) -> StoreState:
    present = []
    for number in range(draw(st.integers(0, 8))):
        record = draw(
            st.sampled_from([run("a"), run("a", 2.0), run("b"), run("c"), EXPERIMENT])
            | st.just(replace(EXPERIMENT, key="other"))
        )
        item = written(record, f"id{number}", draw(st.sampled_from(["id0", "p", None])))
        tags = dict(item.tags)
        tags[CURRENT] = draw(st.sampled_from(["true", "false"]))
        if draw(st.booleans()):
            del tags[CONTENT]
        status = draw(st.sampled_from(["FINISHED", "RUNNING", "KILLED"]))
        present.append(replace(item, status=status, tags=tags))
    return StoreState("1", False, tuple(present))


@given(stores(), st.sets(st.sampled_from("abd")))
@settings(max_examples=200, deadline=None)
def test_any_store_is_brought_in_line_at_once(state: StoreState, wanted: set[str]) -> None:
    records = [run(key) for key in sorted(wanted)]
    after = carried_out(make_plan(EXPERIMENT, records, state), state)
    again = make_plan(EXPERIMENT, records, after)
    assert again.is_nothing
    runs = [item for item in after.present if item.which[0] == "run"]
    assert sorted(item.which[1] for item in runs if item.is_current) == sorted(wanted)
    assert len({item.which for item in after.present}) == len(after.present)
    assert not any(item.status == "RUNNING" for item in after.present)
    assert all(item.is_complete for item in runs)


@given(stores())
@settings(max_examples=50, deadline=None)
def test_history_is_never_discarded(state: StoreState) -> None:
    plan = make_plan(EXPERIMENT, [run("a")], state)
    kept = {item.which for item in state.present} - {item.which for item in plan.discard}
    for item in plan.discard:
        alone = sum(other.which == item.which for other in state.present) == 1
        assert not (alone and item.is_complete)
    assert kept <= {item.which for item in state.present}


def test_of_doubled_runs_every_publisher_keeps_the_same() -> None:
    doubled = (written(run("a"), "2"), written(run("a"), "1"))
    for order in (doubled, doubled[::-1]):
        plan = make_plan(EXPERIMENT, [run("a")], StoreState("1", False, (*order, PARENT_THERE)))
        assert [item.mlflow_id for item in plan.discard] == ["2"]
        assert [item.mlflow_id for item in plan.keep] == ["1"]


def test_store_in_line_needs_nothing() -> None:
    state = StoreState("1", False, (PARENT_THERE, written(run("a"), "1")))
    assert make_plan(EXPERIMENT, [run("a")], state).is_nothing
    assert not make_plan(EXPERIMENT, [run("a", 2.0)], state).is_nothing
    assert not make_plan(EXPERIMENT, [], state).is_nothing
