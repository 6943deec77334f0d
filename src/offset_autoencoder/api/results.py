"""Results as tables and as the page, wherever they come from."""

from __future__ import annotations

import html
import tempfile
import webbrowser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation.controls import OWN_NETWORK
from offset_autoencoder.evaluation.statistics import signed_percent
from offset_autoencoder.io.files import write_text
from offset_autoencoder.paths import MODELS, REPORTS
from offset_autoencoder.reporting.terminal import in_notebook
from offset_autoencoder.runs.load import find_run, load_run

PAGE = "index.html"
TABLES = ("verdicts", "comparison", "runs", "interventions", "probes", "tuned")
# Of the verdicts, the columns that a notebook shows of results without a page.
_SHOWN = ("setting", "verdict", "seeds", "permuted", "mean", "omitted", "donor_shift")
# Interventions of which a line tells where there is no verdict.
_WITH = {
    "permuted": "another sample's vector",
    "mean": "the mean vector",
    "omitted": "none",
}
_FRAME = (
    '<iframe srcdoc="{}" sandbox="allow-scripts" title="report" '
    'style="width:100%;height:45rem;border:1px solid #8b929c"></iframe>'
)


@dataclass(frozen=True, repr=False)
class Result:
    """Results of an experiment.

    Attributes:
        tables: Each table of ``reports/`` by its name, of :data:`TABLES`.
        page: The report as one page of HTML; None where there is none.
        note: What is to be said beside the verdicts, or ``""``.
        folders: Where trained runs are looked for: ``models`` and, or None, a run store.
    """

    tables: Mapping[str, pd.DataFrame]
    page: str | None = None
    note: str = ""
    folders: tuple[Path, Path | None] = field(default=(MODELS, None))

    @property
    def verdicts(self) -> pd.DataFrame:
        """A row per setting with an offset: what the offset is to its network, and why."""
        return self.tables["verdicts"]

    @property
    def comparison(self) -> pd.DataFrame:
        """A row per pair of settings: difference, interval, p, and the verdict in a sentence."""
        return self.tables["comparison"]

    @property
    def runs(self) -> pd.DataFrame:
        """A row per run: its id, setting, seed and every metric."""
        return self.tables["runs"]

    @property
    def interventions(self) -> pd.DataFrame:
        """A row per setting, intervention and metric: the error with another offset in place."""
        return self.tables["interventions"]

    @property
    def probes(self) -> pd.DataFrame:
        """A row per setting and part: what a linear probe reads from code, offset and both."""
        return self.tables["probes"]

    def load_run(self, run: str) -> Any:
        """Load one of the runs as a Keras model: see :func:`offset_autoencoder.load_run`.

        Args:
            run: Its id, a value of ``runs.id``, or the first digits of it.

        Raises:
            InputError: as that function.
        """
        return load_run(find_run(run, *self.folders))

    def save(self, path: str | Path) -> None:
        """Write the page to a file; it needs no other file and no network.

        Raises:
            InputError: where there is no page, as in a folder without one.
        """
        write_text(Path(path), self._page())

    def show(self) -> None:
        """Display the page: in a notebook within it, else in the web browser."""
        if in_notebook():
            import IPython

            IPython.display.display(self)
            return
        if self.page is None:
            print(self)
            return
        path = Path(tempfile.mkdtemp(prefix="offset-autoencoder-")) / PAGE
        self.save(path)
        webbrowser.open(path.as_uri())
        print(path)

    def _page(self) -> str:
        if self.page is None:
            what = "there is no page: the folder that it was loaded from has none"
            raise InputError(
                "result", what, "run dvc repro there; the tables have to_html and to_csv"
            )
        return self.page

    def _repr_html_(self) -> str:
        if self.page is not None:
            return _FRAME.format(html.escape(self.page))
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in str(self).splitlines())
        shown = [name for name in _SHOWN if name in self.verdicts]
        return lines + str(self.verdicts[shown].to_html(index=False))

    def __str__(self) -> str:
        from offset_autoencoder.reporting.page import reason_of

        lines = [
            row.sentence  # with its figures, which are all there is
            if self.page is None or self.note
            else f"{row.setting}: {row.verdict}: {reason_of(row.sentence, row.setting)}"
            for row in self.verdicts.itertuples()
        ]
        lines = lines or [*self._changes()] or [*self._outcomes()]
        lines += [self.note] if self.note else []
        runs = f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}"
        return "\n".join(lines or [f"{runs}, none with an offset to judge"])

    def _outcomes(self) -> Iterator[str]:
        """Lines on how settings compare with their baselines by the first metric."""
        table = self.tables.get("comparison", pd.DataFrame(columns=["metric"]))
        metric = next(iter(table["metric"]), None)
        for row in table[table["metric"] == metric].itertuples():
            yield f"{row.setting}: {row.verdict}"

    def _changes(self) -> Iterator[str]:
        """Lines on how the error on unseen samples changes with other offsets than their own."""
        table = self.tables.get("interventions", pd.DataFrame(columns=["setting"]))
        for setting, rows in table.groupby("setting", sort=False):
            own = rows[(rows["split"] == "test") & (rows["network"] == OWN_NETWORK)]
            own = own.drop_duplicates("intervention").set_index("intervention")
            if not {"own", *_WITH} <= {*own.index}:
                continue
            changes = [
                f"with {words} {signed_percent(own.loc[name, 'change'], grouping=',')} %"
                for name, words in _WITH.items()
            ]
            error = f"{own.loc['own', 'metric']} {own.loc['own', 'mean']:.4g}"
            yield f"{setting}: {error}, {', '.join(changes)}"

    def __repr__(self) -> str:
        return str(self)


def load_results(folder: str | Path = REPORTS) -> Result:
    """Load the results that ``dvc repro`` or :func:`.compare` left in a folder.

    Args:
        folder: ``reports`` of a project.

    Raises:
        InputError: where the folder holds no results.
    """
    folder = Path(folder)
    tables = {}
    for name in TABLES:
        path = folder / f"{name}.csv"
        try:
            # A model may be called "null", and an id be a number to look at.
            tables[name] = pd.read_csv(
                path, dtype={"id": str}, keep_default_na=False, na_values=[""]
            )
        except FileNotFoundError:
            near = (folder / "reports" / path.name).is_file()
            mend = f"load_results({str(folder / 'reports')!r})" if near else "run dvc repro"
            raise InputError(str(folder), f"holds no {path.name}", mend) from None
        except (OSError, ValueError) as error:
            raise InputError(str(path), f"cannot be read: {error}", "run dvc repro") from None
    page = folder / PAGE
    text = page.read_text(encoding="utf-8") if page.is_file() else None
    return Result(tables, text, folders=(folder.parent / MODELS, None))
