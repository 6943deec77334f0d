from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from offset_autoencoder.config.offset_kinds import FunctionOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import arrays
from offset_autoencoder.offsets import function
from offset_autoencoder.offsets.kind import Float32, Samples, Training

WHERE = "params.yaml: offsets.mine"
X = np.random.default_rng(0).random((200, 6), dtype=np.float32)
Write = Callable[[str], str]
_numbers = itertools.count()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module; give back its name, never used before in this process."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names = []

    def write_module(source: str) -> str:
        names.append(f"mine_{next(_numbers)}")
        text = "import numpy as np\n" + dedent(source)
        (tmp_path / f"{names[-1]}.py").write_text(text)
        return names[-1]

    yield write_module
    for name in names:
        sys.modules.pop(name, None)


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


def test_missing_module_says_where_it_is_looked_for() -> None:
    text = message("custom.nothing_here:f")
    assert text.startswith(f"{WHERE}.function: there is no module 'custom.nothing_here'")
    assert "custom/nothing_here.py" in text
    assert "src/custom" in text


def test_misspelt_function_names_the_right_one(write: Write) -> None:
    module = write("def my_offset(x, latent_dim, rng): return x[:, :latent_dim]")
    assert "did you mean 'my_offset'?" in message(f"{module}:my_ofset")


def test_import_that_is_missing_in_the_module_is_not_the_module(write: Write) -> None:
    module = write("\nimport not_installed_here\n")
    text = message(f"{module}:f")
    assert f"importing {module} raised ModuleNotFoundError" in text
    assert f"at {module}.py:3" in text


def test_syntax_error_names_file_and_line(write: Write) -> None:
    module = write("\ndef f(x, latent_dim, rng) return x\n")
    assert f"SyntaxError: expected ':' ({module}.py, line 3), at {module}.py:3" in message(
        f"{module}:f"
    )


def test_exception_names_its_type_and_line(write: Write) -> None:
    module = write(
        """
        def f(x, latent_dim, rng):
            return inner(x)

        def inner(x):
            return np.linalg.inv(x)
        """
    )
    text = message(f"{module}:f")
    assert f"{WHERE}.function: {module}:f raised LinAlgError" in text
    assert f"at {module}.py:7" in text
    assert "\n" not in text


def test_x_cannot_be_changed(write: Write) -> None:
    module = write(
        """
        def f(x, latent_dim, rng):
            x *= 2
            return x[:, :latent_dim]
        """
    )
    before = X.copy()
    assert "read-only" in message(f"{module}:f")
    assert np.array_equal(X, before)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return x", "must return shape (64, 3) (n, latent_dim), it returned (64, 6)"),
        ("return x[:, 0]", "it returned (64,)"),
        ("return None", "its dtype is object"),
        ("return x[:, :3] + 1j", "its dtype is complex"),
        ("return [['a'] * 3] * len(x)", "its dtype is <U1"),
        ("return [[1], [1, 2]]", "raised ValueError"),
        ("return np.where(x == x[1, 2], np.nan, x)[:, :3]", "row 1, column 2 is nan"),
        ("return np.log(np.zeros((len(x), 3)))", "row 0, column 0 is -inf"),
        ("return np.full((len(x), 3), 1e300)", "as float32: row 0, column 0 is inf"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_results_that_are_no_table(write: Write, body: str, expected: str) -> None:
    module = write(f"def f(x, latent_dim, rng): {body}")
    assert expected in message(f"{module}:f")


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


def test_statistics_of_the_rows_passed_are_refused(write: Write) -> None:
    module = write("def f(x, latent_dim, rng): return (x - x.mean(axis=0))[:, :latent_dim]")
    assert "f(x) is row by row" in message(f"{module}:f")


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


@pytest.mark.parametrize(
    ("source", "attribute", "expected"),
    [
        ("f = 3", "f", "is a int: neither a function nor an object with fit and apply"),
        ("class f:\n  def fit(self, x, latent_dim, rng): return {}", "f", "has fit but no apply"),
        (
            "class f:\n  def fit(self, x, latent_dim, rng): return x\n  def apply(self, s, x): 0",
            "f",
            "fit must return a dict of arrays, it returned a ndarray",
        ),
        (
            "class f:\n  def fit(self, x, latent_dim, rng): return {'a': object()}\n"
            "  def apply(self, s, x): 0",
            "f",
            "its key 'a' holds a object",
        ),
    ],
)
def test_things_that_are_no_offset(
    write: Write, source: str, attribute: str, expected: str
) -> None:
    assert expected in message(f"{write(source)}:{attribute}")


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
