from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.users_module import users_modules

from offset_autoencoder.config.offset_kinds import FunctionOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import arrays
from offset_autoencoder.offsets import function
from offset_autoencoder.offsets.kind import Float32, Samples, Training

WHERE = "params.yaml: offsets.mine"
X = np.random.default_rng(0).random((200, 6), dtype=np.float32)
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    monkeypatch.chdir(tmp_path)
    with users_modules(tmp_path, "import numpy as np\n") as write_module:
        yield write_module


def table_of(name: str, x: Float32 = X, latent_dim: int = 3, seed: int = 0) -> Float32:
    params = FunctionOffset(function=name, seed=seed)
    state = function.fit(WHERE, params, Training(X), latent_dim)
    return function.apply(WHERE, state, Samples(x))


def message(name: str) -> str:
    with pytest.raises(InputError) as caught:
        table_of(name)
    return str(caught.value)


def test_stateless_function_with_random_weights(write: Write) -> None:
    module = write(
        """
        def f(x, latent_dim, rng):
            return np.tanh(x @ rng.standard_normal((x.shape[1], latent_dim)))
        """
    )
    weights = np.random.default_rng(5).standard_normal((6, 3))
    table = table_of(f"{module}:f", seed=5)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table, np.tanh(X @ weights), rtol=1e-5)
    np.testing.assert_allclose(table_of(f"{module}:f", X[7:9], seed=5), table[7:9], rtol=1e-5)


def test_integer_results_are_stored_as_float32(write: Write) -> None:
    module = write("def f(x, latent_dim, rng): return (x[:, :latent_dim] > 0.5)")
    table = table_of(f"{module}:f")
    assert table.dtype == np.float32
    assert np.array_equal(table, X[:, :3] > 0.5)


FITTED = """
    class Centred:
        def fit(self, x_train, latent_dim, rng):
            return {"mean": x_train.mean(axis=0)[:latent_dim]}

        def apply(self, state, x):
            return x[:, :len(state["mean"])] - state["mean"]

    centred = Centred()
    """


@pytest.mark.parametrize("attribute", ["centred", "Centred"])
def test_fitted_object_learns_from_the_training_split(write: Write, attribute: str) -> None:
    name = f"{write(FITTED)}:{attribute}"
    new = X[:5] + 1
    np.testing.assert_allclose(table_of(name, new), new[:, :3] - X.mean(axis=0)[:3], rtol=1e-5)
    state = function.fit(WHERE, FunctionOffset(function=name), Training(X), 3)
    assert np.array_equal(state["fitted.mean"], X.mean(axis=0)[:3])


def test_what_fit_leaves_on_the_object_does_not_reach_apply(write: Write) -> None:
    module = write(
        """
        class Keeps:
            def fit(self, x_train, latent_dim, rng):
                self.mean = x_train.mean(axis=0)
                return {}

            def apply(self, state, x):
                return x - self.mean

        keeps = Keeps()
        """
    )
    for name in ("keeps", "Keeps"):
        assert "raised AttributeError: 'Keeps' object has no attribute 'mean'" in message(
            f"{module}:{name}"
        )


def test_functions_that_are_not_deterministic_are_refused(write: Write) -> None:
    module = write(
        """
        free = np.random.default_rng()

        def f(x, latent_dim, rng):
            return x[:, :latent_dim] + free.standard_normal(latent_dim)

        class G:
            def fit(self, x, latent_dim, rng):
                return {"shift": free.standard_normal(latent_dim)}

            def apply(self, state, x):
                return x[:, :len(state["shift"])] + state["shift"]
        """
    )
    for name in ("f", "G"):
        assert "other values when it is called again" in message(f"{module}:{name}")


@pytest.mark.parametrize(
    "body",
    [
        "return rng.normal(size=(len(x), latent_dim))",
        "return x[:, :latent_dim] + np.arange(len(x))[:, None] % 2",
        "return np.sort(x[:, :latent_dim], axis=0) if len(x) == 200 else x[:, :latent_dim]",
    ],
)
@pytest.mark.parametrize("n", [200, 2])
def test_vectors_that_go_by_the_place_of_the_row_are_refused(
    write: Write, body: str, n: int
) -> None:
    if "200" in body:
        n = 200
    name = f"{write(f'def f(x, latent_dim, rng): {body}')}:f"
    with pytest.raises(InputError, match=r"f\(x\) is row by row"):
        function.fit(WHERE, FunctionOffset(function=name), Training(X[:n]), 3)


def test_leaving_the_process_is_an_error_of_the_function(write: Write) -> None:
    module = write(
        """
        import sys

        def f(x, latent_dim, rng):
            sys.exit(0)

        class G:
            def __init__(self):
                raise SystemExit

            def fit(self, x, latent_dim, rng): ...
            def apply(self, state, x): ...

        def interrupted(x, latent_dim, rng):
            raise KeyboardInterrupt
        """
    )
    assert f"{module}:f raised SystemExit: 0, at {module}.py:6" in message(f"{module}:f")
    assert f"{module}:G raised SystemExit: , at {module}.py:10" in message(f"{module}:G")
    assert "importing" in message(f"{write('import sys; sys.exit(0)')}:f")
    with pytest.raises(KeyboardInterrupt):
        table_of(f"{module}:interrupted")


def test_a_temporary_clone_finds_the_projects_own_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    for folder in (clone, tmp_path):
        (folder / "src" / "custom").mkdir(parents=True)
        (folder / "src" / "custom" / "__init__.py").touch()
    own = tmp_path / "src" / "custom"
    (own / "mine.py").write_text(
        "from custom.helper import scale\n"
        "def f(x, latent_dim, rng): return scale * x[:, :latent_dim]\n"
    )
    (own / "helper.py").write_text("scale = 2.0\n")
    monkeypatch.chdir(clone)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.syspath_prepend(str(clone / "src"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "custom"]:
        monkeypatch.delitem(sys.modules, name)
    try:
        assert np.array_equal(table_of("custom.mine:f"), 2 * X[:, :3])
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "custom"]:
            del sys.modules[name]
    assert not (clone / "src" / "custom" / "helper.py").is_symlink()


FIT = "class f:\n  def fit(self, x, latent_dim, rng): return {}\n"
APPLY = "  def apply(self, state, x): 0"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def ff(x, latent_dim, rng): return x", "MODULE has no 'f' .*did you mean 'ff'"),
        ("import absent_here", "importing MODULE raised ModuleNotFoundError: .* at MODULE.py:2$"),
        ("def f(x) return x", r"SyntaxError: expected ':' \(MODULE.py, line 2\), at MODULE.py:2$"),
        (
            "def f(x, *_):\n  return inner(x)\ndef inner(x):\n  return np.linalg.inv(x)",
            "MODULE:f raised LinAlgError: .* at MODULE.py:5$",
        ),
        ("f = 3", "is a int: neither a function nor an object with fit and apply"),
        (FIT, "has fit but no apply"),
        (FIT.replace("{}", "x") + APPLY, "fit must return a dict of arrays, .* a ndarray"),
        (FIT.replace("{}", "{'a': object()}") + APPLY, "its key 'a' holds a object"),
    ],
)
def test_what_is_wrong_with_the_users_code_is_named(
    write: Write, source: str, expected: str
) -> None:
    module = write(source)
    assert re.search(
        rf"^{WHERE}\.function: .*{expected}".replace("MODULE", module), message(f"{module}:f")
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x", r"must return shape \(64, 3\) \(n, latent_dim\), it returned \(64, 6\)"),
        ("x[:, 0]", r"it returned \(64,\)"),
        ("None", "its dtype is object"),
        ("x[:, :3] + 1j", "its dtype is complex"),
        ("[['a'] * 3] * len(x)", "its dtype is <U1"),
        ("[[1], [1, 2]]", "raised ValueError"),
        ("np.where(x == x[1, 2], np.nan, x)[:, :3]", "row 1, column 2 is nan"),
        ("np.log(np.zeros((len(x), 3)))", "row 0, column 0 is -inf"),
        ("np.full((len(x), 3), 1e300)", "as float32: row 0, column 0 is inf"),
        ("np.multiply(x, 2, out=x)", "read-only"),
        ("(x - x.mean(axis=0))[:, :3]", r"f\(x\) is row by row: compute statistics"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_results_that_are_no_offset(write: Write, body: str, expected: str) -> None:
    before = X.copy()
    module = write(f"def f(x, latent_dim, rng): return {body}")
    assert re.search(expected, message(f"{module}:f"))
    assert np.array_equal(X, before)


def test_one_training_sample_is_enough(write: Write) -> None:
    module = write("def f(x, latent_dim, rng): return x[:, :latent_dim]")
    params = FunctionOffset(function=f"{module}:f")
    state = function.fit(WHERE, params, Training(X[:1]), 2)
    assert np.array_equal(function.apply(WHERE, state, Samples(X)), X[:, :2])


def test_row_by_row_is_tried_on_the_first_and_the_last_chunk(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 6 * 90)  # of 200 rows
    module = write(
        """
        sizes = []

        def f(x, latent_dim, rng):
            sizes.append(len(x))
            return x[:, :latent_dim]

        def last(x, latent_dim, rng):
            return x[:, :latent_dim] + (np.arange(len(x))[:, None] > 80)

        def centred(x, latent_dim, rng):
            return (x - x.mean(axis=0))[:, :latent_dim]
        """
    )
    table_of(f"{module}:f")
    assert max(sys.modules[module].sizes[:-1]) == 90  # the last call is table_of's own
    for name in ("last", "centred"):
        assert "f(x) is row by row" in message(f"{module}:{name}")
