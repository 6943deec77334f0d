"""Sections ``data:`` and ``split:`` of params.yaml: samples, and how they are split."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ValidationInfo, model_validator

from offset_autoencoder.config import values
from offset_autoencoder.errors import short_repr

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
SPLIT_COLUMNS = ("group", "order")
"""Keys of ``split:`` that name a column of the data."""


def _names_splits(value: Any) -> Any:
    if isinstance(value, dict) and not all(
        split in SPLITS and isinstance(name, str) for split, name in value.items()
    ):
        expected = f"must be a name, or a name for each of {', '.join(SPLITS)}"
        raise ValueError(f"{expected}, got {short_repr(value)}")
    return value


def _as_names(value: Any) -> Any:
    """Names as text: YAML reads a column's name such as 1100 as a number."""
    if isinstance(value, dict):
        return {key: _as_names(name) for key, name in value.items()}
    if isinstance(value, list):
        return [_as_names(name) for name in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


def _refuse_list(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, list):
        return value
    mends = {
        "path": "name a file per split, {train: a.csv, test: b.csv}, or join the files into one",
        "array": "name an array per split: {train: a, validation: b, test: c}",
        "split": "name the column that says train, validation or test",
        "order": "name the column that says most, or write one of ISO dates",
    }
    texts = " + '_' + ".join(f"table[{name!r}].astype(str)" for name in value)
    mend = mends.get(info.field_name or "", f"join the columns into one: table['all'] = {texts}")
    if len(value) < 2:
        mend = f"write it without brackets: {value[0]}" if value else "leave it out"
    raise ValueError(f"takes one name, got the list {short_repr(value)} ({mend})")


NUMBERS_ARE_NAMES = BeforeValidator(_as_names)
_NO_LIST = BeforeValidator(_refuse_list)
PathOrSplits = Annotated[str | dict[SplitName, str], BeforeValidator(_names_splits), _NO_LIST]
NameOrSplits = Annotated[PathOrSplits, NUMBERS_ARE_NAMES]
Names = Annotated[
    list[str],
    BeforeValidator(lambda names: [names] if isinstance(names, str) else names),
    NUMBERS_ARE_NAMES,
]
Complex = Literal["real_imag", "abs"]


class Data(values.Section):
    """``data:``, where the samples come from and how they are scaled.

    For ``source: file`` the keys ``label``, ``id`` and ``split`` name a column (csv, parquet),
    an array (npz, hdf5) or a file of their own; ``path`` is relative to ``data/raw``.

    Attributes:
        source: The data: scikit-learn's digits, a data set of Keras, or files.
        path: File in ``data/raw``, or a file per split.
        label: Column, array or file of the labels; None: there are none.
        id: Column, array or file of the samples' ids; None: their row numbers.
        split: Column that says train, validation (or val) or test.
        features: Columns, or the array of npz and hdf5; or an array per split.
        exclude: Columns that are not features.
        header: Whether the first line of a csv names its columns; without names they are 0, 1, ...
            None: it does, and a first line that looks like data is refused.
        complex: What becomes of complex numbers: two channels, or their absolute value.
        scale: How features are scaled. None: ``minmax`` for a table whose columns have names,
            ``unit`` for arrays.
        clip: Whether values beyond the range of the training split are moved to the end of it.
            None: in a table that is scaled by ``minmax`` because ``scale`` is None.
        constant: What is done about a feature that is constant over the training split: it is
            set to 0, left out, or an error; the first and the last under ``minmax`` and
            ``standard`` alone.
        missing: What is done about missing cells: their rows are dropped, or they get the mean or
            median of their feature over the training split.
        categorical: Whether a column of text becomes a feature per level, 1 or 0.
        image_shape: ``[h, w]`` or ``[h, w, channels]`` of a sample; ``[]`` for no image; None: that
            of the data (see :mod:`.data.shapes`).
        sequence_shape: ``[steps, channels]`` of a sample that is a series; None: that of the data.
        channels: Whether the channels come ``first`` or ``last`` in such shapes; None: last.
    """

    source: Literal["digits", "mnist", "fashion_mnist", "file"] = "digits"
    path: PathOrSplits | None = None
    features: Annotated[
        str | list[str] | dict[SplitName, str] | None,
        BeforeValidator(_names_splits),
        NUMBERS_ARE_NAMES,
    ] = None
    label: NameOrSplits | None = None
    id: NameOrSplits | None = None
    split: Annotated[str | None, NUMBERS_ARE_NAMES, _NO_LIST] = None
    exclude: Names | None = None
    header: values.Nullable[bool] = None
    complex: values.Nullable[Complex] = None
    scale: values.Nullable[Literal["none", "unit", "minmax", "standard"]] = None
    clip: values.Nullable[bool] = None
    constant: Literal["zero", "drop", "error"] = "zero"
    missing: Literal["error", "drop", "mean", "median"] = "error"
    categorical: Literal["error", "one_hot"] = "error"
    image_shape: values.Nullable[list[values.Count]] = None
    sequence_shape: values.Nullable[list[values.Count]] = None
    channels: values.Nullable[Literal["first", "last"]] = None

    @model_validator(mode="after")
    def _path_goes_with_file(self) -> Self:
        if self.source == "file" and self.path is None:
            raise values.WrongTogether("source: file needs a path under data/raw", "source")
        file_keys = ("path", "features", "label", "id", "split", "exclude", "header", "complex")
        given = [key for key in file_keys if getattr(self, key) is not None]
        if self.source != "file" and given:
            message = f"{given[0]} goes with source: file, not source: {self.source}"
            raise values.WrongTogether(message, *given)
        if self.split is not None and self.splits_named:
            message = "split and one path or array a split exclude each other"
            raise values.WrongTogether(message, "split")
        return self

    @property
    def splits_named(self) -> tuple[SplitName, ...]:
        """Splits for which some key has a value of its own."""
        by_split = [v for v in (self.path, self.features, self.label, self.id) if type(v) is dict]
        return tuple(name for name in SPLITS if any(name in value for value in by_split))

    def for_table(self, *, named: bool) -> Data:
        """Section with the scale and clipping of a table whose columns are ``named`` or not."""
        if self.scale is not None:
            return self
        clip = named if self.clip is None else self.clip
        return self.model_copy(update={"scale": "minmax" if named else "unit", "clip": clip})


class Split(values.Section):
    """``split:``, the shares cut off where the data set does not bring its own splits.

    Attributes:
        validation: Share of the samples in the validation split.
        test: Share of the samples in the test split.
        seed: Seed of the assignment.
        stratify: Whether each split gets the same share of each class, where there are labels.
        vary: Whether the runs of each seed have a split of their own (Bouthillier et al. 2021,
            Accounting for Variance in Machine Learning Benchmarks). None: they have where the data
            bring no test split, the training split is within every ``train.memory_limit``, and
            nothing orders the samples.
        group: Column whose equal values (one subject, machine, day) are kept in one split; named
            like ``data.label``.
        order: Column of numbers or ISO dates, named likewise: the last samples are the test split,
            those before them validation.
    """

    validation: values.Share = 0.15
    test: values.Share = 0.2
    seed: values.Seed = 0
    stratify: bool = True
    vary: values.Nullable[bool] = None
    group: NameOrSplits | None = None
    order: NameOrSplits | None = None

    @property
    def relevant(self) -> dict[str, Any]:
        """The keys and their values, without a column that is not named."""
        named = {key for key in SPLIT_COLUMNS if getattr(self, key) is not None}
        return self.model_dump(exclude={*SPLIT_COLUMNS} - named)

    @model_validator(mode="after")
    def _one_column(self) -> Self:
        if self.group is not None and self.order is not None:
            message = (
                "order and group exclude each other: leave one of them out (order keeps samples "
            )
            message += "of one time together: a column of days keeps whole days)"
            raise values.WrongTogether(message, "order", "group")
        if self.order is not None and self.vary:
            message = "vary: true and order exclude each other: in time there is one split, so "
            message += "leave vary out"
            raise values.WrongTogether(message, "vary", "order")
        return self

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.validation + self.test >= 1:
            message = "validation + test must be below 1: nothing is left to train on"
            raise values.WrongTogether(message, "test", "validation")
        return self
