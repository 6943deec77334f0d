"""Arguments of a comparison as a params.yaml and files of ``data/raw``.

Errors of the stages name places in these files; here they name the argument of Python that the
place was written from.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS
from offset_autoencoder.config.data_schema import Data
from offset_autoencoder.config.params import SECTIONS, check_name
from offset_autoencoder.errors import InputError, InputErrors, did_you_mean, message_of, named
from offset_autoencoder.io.files import write_text
from offset_autoencoder.offsets.kind import finite_float32, real_array
from offset_autoencoder.paths import PARAMS, RAW

HEAD = "# Written by offset_autoencoder.compare from its arguments.\n"
NOTHING, NOISE = "none", "gaussian"
"""Models beside those of the offsets, where none are given."""
_RMS_OF_KINDS = 0.1
_SOURCES = [s for s in get_args(Data.model_fields["source"].annotation) if s != "file"]
_ROLES = {("data", "label"): "labels", ("data", "id"): "ids", ("data", "path"): "x"}
_ROLES |= {("data", "split"): "split", ("data", "source"): "x"}
_PLACE = re.compile(r"params\.yaml: ([A-Za-z][\w-]*(?:\.[\w-]+)*)((?:\[\d+\])*)")


@dataclass(frozen=True)
class Arguments:
    """Arguments as a document and files of ``data/raw``.

    Attributes:
        root: Folder of the project.
        files: By name in ``data/raw`` the argument and what is written there.
    """

    root: Path
    files: dict[str, tuple[str, Any]] = field(default_factory=dict)

    def document(
        self,
        x: Any,
        offsets: Mapping[str, Any],
        columns: Mapping[str, Any],
        sections: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The content of params.yaml; arrays are noted in :attr:`files`."""
        document: dict[str, Any] = {
            name: _plain(name, {} if value is None else value) for name, value in sections.items()
        }
        for name, value in document.items():
            if name != "seeds" and not isinstance(value, dict):
                raise InputError(name, f"must be a mapping of keys, got {value!r:.80}")
        for section, names in (("offsets", offsets), ("models", document["models"])):
            for name in names:
                check_name(section, name, f"{section}[{name!r}]")
        split = columns["split"]
        document["split"] = _plain("split", split) if isinstance(split, Mapping) else {}
        data = document["data"]
        if "path" in data or "source" in data:
            raise InputError(f"data[{'path' if 'path' in data else 'source'!r}]", "x is the data")
        samples = self._samples(x, data)
        self._name_columns(document, x, samples, columns)
        if samples is not None:
            document["network"] = _fitting_output(samples, data) | document["network"]
        document["offsets"] = {
            name: self._offset(name, value, samples, data.get("id"))
            for name, value in offsets.items()
        }
        written = {name: self.files.get(f"offsets/{name}.npy", ("", None))[1] for name in offsets}
        vectors = {name: v for name, v in written.items() if isinstance(v, np.ndarray)}
        if len(widths := {array.shape[1] for array in vectors.values()}) == 1:
            document["network"].setdefault("latent_dim", widths.pop())
        if not document["models"]:
            document["models"] = _models(document["offsets"], vectors)
        document["offsets"].setdefault(NOTHING, {"kind": "zero"})
        document["tracking"] = {"live_after": None}  # nothing of it is published
        return {section: document[section] for section in SECTIONS}

    def _name_columns(
        self,
        document: dict[str, Any],
        x: Any,
        samples: list[Any] | None,
        columns: Mapping[str, Any],
    ) -> None:
        """Have the document name columns, and files of those that are given as arrays."""
        data = document["data"]
        roles = {"label": "labels", "id": "ids", "split": "split"}
        for role, name in roles.items():
            if (value := columns[name]) is None or (role == "split" and isinstance(value, Mapping)):
                continue
            if samples is None:
                raise InputError(name, f"{named(x)} brings its own", "leave it out")
            data[role] = value
        if samples is not None and "id" not in data:
            ids = _ids_of_index(data["path"], samples)
            data |= {} if ids is None else {"id": ids}
        for section, keys in (("data", roles), ("split", ("group", "order"))):
            for key in keys:
                if document[section].get(key) is not None:
                    argument = _ROLES.get((section, key), f"{section}[{key!r}]")
                    column = self._column(argument, key, document[section][key], samples)
                    document[section][key] = column

    def _samples(self, x: Any, data: dict[str, Any]) -> list[Any] | None:
        """The samples, of each split where it has several, noted as files; None: built in."""
        if isinstance(x, str):
            if x not in _SOURCES:
                hint = did_you_mean(x, _SOURCES)
                raise InputError("x", f"there is no built-in data set {x!r}", hint)
            data["source"] = x
            return None
        data["source"] = "file"
        if not isinstance(x, Mapping):
            data["path"] = self._table("x", "x", x)
            return [self.files[data["path"]][1]]
        _check_splits("x", x)
        data["path"] = {
            part: self._table(f"x[{part!r}]", f"x_{part}", x[part]) for part in SPLITS if part in x
        }
        return [self.files[name][1] for name in data["path"].values()]

    def _table(self, argument: str, stem: str, value: Any) -> str:
        if isinstance(value, pd.DataFrame):
            frame = value.rename(columns=str)
            if not frame.columns.is_unique:
                twice = frame.columns[frame.columns.duplicated()][0]
                raise InputError(argument, f"has two columns {twice!r}", "rename one of them")
            self.files[f"{stem}.parquet"] = argument, frame
            return f"{stem}.parquet"
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(None)
        if array.ndim < 2 or array.dtype.kind not in "fiubc":
            it_is = f"{array.dtype} of shape {array.shape}"
            what = f"must be a DataFrame or an array of numbers (samples, features), it is {it_is}"
            raise InputError(argument, what)
        self.files[f"{stem}.npy"] = argument, array
        return f"{stem}.npy"

    def _column(self, argument: str, role: str, value: Any, samples: list[Any] | None) -> Any:
        """Name of a column in a frame, or of the file that an array is noted as."""
        if isinstance(value, Mapping) and set(value) <= {*SPLITS}:
            return {
                part: self._column(f"{argument}[{part!r}]", f"{role}_{part}", one, None)
                for part, one in value.items()
            }
        if isinstance(value, str):
            return value
        array = _names(argument, value)
        frame: Any = samples[0] if samples is not None and len(samples) == 1 else None
        aligned = not (isinstance(value, pd.Series) and isinstance(frame, pd.DataFrame))
        if not aligned and not value.index.equals(frame.index):
            mend = f"{argument}.loc[x.index], or {argument}.to_numpy() to go by position"
            raise InputError(argument, "its index is not that of x", mend)
        if frame is not None and len(array) != len(frame):
            raise InputError(argument, f"has {len(array)} values, x has {len(frame)} samples")
        self.files[f"{role}.npy"] = argument, array
        return f"{role}.npy"

    def _offset(self, name: str, value: Any, samples: list[Any] | None, ids: Any) -> dict[str, Any]:
        """The section of an offset; its vectors are noted as a file."""
        argument = f"offsets[{name!r}]"
        if isinstance(value, Mapping) and not set(value) <= {*SPLITS}:
            return self._kind(name, argument, _plain(argument, value))
        if callable(value):
            if samples is None:
                what = "a function needs x as an array"
                raise InputError(argument, what, "name it: {'kind': 'function', 'function': ...}")
            parts = [_call(argument, value, part) for part in samples]
        elif isinstance(value, Mapping):
            _check_splits(argument, value)
            parts = [value[part] for part in SPLITS if part in value]
        else:
            parts = [value]
        arrays = [finite_float32(argument, _vectors(argument, part)) for part in parts]
        if len({array.shape[1] for array in arrays}) > 1:
            raise InputError(argument, "its splits have vectors of several lengths")
        vectors, path = np.concatenate(arrays), f"offsets/{name}.npy"
        self.files[path] = argument, vectors
        section = {"kind": "file", "path": path}
        if all(isinstance(part, pd.DataFrame) for part in parts):
            index = parts[0].index if len(parts) == 1 else pd.concat(parts).index
            self.files[f"offsets/{name}_ids.npy"] = argument, _names(argument, index)
            return section | {"id": f"offsets/{name}_ids.npy"}
        count = None if samples is None else sum(map(len, samples))
        if count is not None and len(vectors) != count:
            what = f"has {len(vectors)} vectors, x has {count} samples"
            mend = "give one per sample, in the order of x, or a DataFrame whose index is the ids"
            raise InputError(argument, what, mend)
        if ids is not None:
            self.files[f"offsets/{name}_ids.npy"] = argument, self._ids(ids, samples or [])
            return section | {"id": f"offsets/{name}_ids.npy"}
        return section

    def _ids(self, ids: Any, samples: Sequence[Any]) -> NDArray[Any]:
        """Ids of all samples, in the order of x."""
        names = [ids[part] for part in SPLITS if part in ids] if isinstance(ids, dict) else [ids]
        if all(name in self.files for name in names):
            return np.concatenate([self.files[name][1] for name in names])
        return np.concatenate([_names("ids", part[ids]) for part in samples])

    def _kind(self, name: str, argument: str, section: dict[str, Any]) -> dict[str, Any]:
        """A section as in params.yaml; a file that it names is noted, from the working folder."""
        paths = section.get("path")
        parts = paths if isinstance(paths, dict) else {"": paths}
        for part, path in parts.items():
            if isinstance(path, str):
                file = Path(path).expanduser()
                if not file.is_file():
                    raise InputError(f"{argument}['path']", f"there is no file {path}")
                own = f"offsets/{name}{part}{''.join(file.suffixes)}"
                self.files[own] = argument, file
                if isinstance(paths, dict):
                    paths[part] = own
                else:
                    section["path"] = own
        return section

    def write(self, document: Mapping[str, Any]) -> None:
        """Write params.yaml and the files of ``data/raw``, in the place of former ones."""
        raw = self.root / RAW
        shutil.rmtree(raw, ignore_errors=True)
        (raw / "offsets").mkdir(parents=True)
        for name, (argument, value) in self.files.items():
            if isinstance(value, pd.DataFrame):
                try:
                    value.to_parquet(raw / name, index=False)
                except (ValueError, TypeError) as error:  # a column of mixed objects, say
                    raise InputError(argument, f"cannot be stored: {message_of(error)}") from None
            elif isinstance(value, Path):
                shutil.copyfile(value, raw / name)
            else:
                np.save(raw / name, value)
        text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
        write_text(self.root / PARAMS, HEAD + text)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Have errors of the block name the arguments."""
        try:
            yield
        except InputErrors as errors:
            raise InputErrors([self._of_argument(error) for error in errors.errors]) from None
        except InputError as error:
            raise self._of_argument(error) from None

    def _of_argument(self, error: InputError) -> InputError:
        what, hint = self._text(error.what), error.hint and self._text(error.hint)
        return InputError(self._text(error.where), what, hint)

    def _text(self, text: str) -> str:
        for name, (argument, _) in self.files.items():
            for path in (self.root / RAW / name, RAW / name):
                text = text.replace(str(path), argument)
        text = text.replace(f"{self.root}{os.sep}", "")
        return _PLACE.sub(lambda match: self._argument(match[1]) + match[2], text)

    def _argument(self, place: str) -> str:
        section, *keys = place.split(".")
        if role := _ROLES.get((section, keys[0] if keys else "")):
            return role
        if section == "offsets" and keys and f"offsets/{keys[0]}.npy" in self.files:
            keys = keys[:1]
        return section + "".join(f"[{key!r}]" for key in keys)


def _models(
    offsets: Mapping[str, Any], vectors: Mapping[str, NDArray[np.float32]]
) -> dict[str, Any]:
    """Each offset, nothing, and noise of the same rms: what verdicts on offsets rest on."""
    if not offsets:
        raise InputError("offsets", "names none, and no models are given")
    for name in (NOTHING, NOISE):
        if name in offsets:
            what = f"is the name of the model with {'nothing' if name == NOTHING else 'noise'}"
            raise InputError(f"offsets[{name!r}]", what, "rename it, or give models=")
    widths = {name: array.shape[1] for name, array in vectors.items()}
    if len(set(widths.values())) > 1:
        each = ", ".join(f"{name} {width}" for name, width in widths.items())
        what = f"have vectors of several lengths ({each})"
        raise InputError("offsets", what, "compare them apart, or give models= a latent_dim")
    levels = {}
    for name in offsets:
        rms = _RMS_OF_KINDS
        if name in vectors:
            squares = np.square(vectors[name], dtype=np.float64)
            rms = float(f"{np.sqrt(np.mean(squares)):.4g}")
        levels[name] = rms if offsets[name]["kind"] != "zero" else 0.0
    of_noise = [*dict.fromkeys(level for level in levels.values() if level)]
    models: dict[str, Any] = {NOTHING: {"offset": NOTHING}}
    if of_noise:
        stddev = of_noise if len(of_noise) > 1 else of_noise[0]
        models[NOISE] = {"offset": NOTHING, "stddev": stddev}
    for name, level in levels.items():
        models[name] = {"offset": name} | ({"rms": level} if level else {})
    return models


def _check_splits(argument: str, value: Mapping[str, Any]) -> None:
    for part in value:
        if part not in SPLITS:
            raise InputError(argument, f"there is no split {part!r}", did_you_mean(part, SPLITS))
    if "train" not in value:
        raise InputError(argument, f"has no split 'train', only {', '.join(map(repr, value))}")


def _plain(argument: str, value: Any) -> Any:
    """A value as YAML holds it: numbers of NumPy as Python's, tuples and arrays as lists.

    Arrays of columns stay as they are.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{argument}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and not argument.startswith(("data[", "split[")):
        value = value.tolist()
    if isinstance(value, list | tuple | range):
        return [_plain(argument, item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if callable(value):
        raise InputError(argument, f"must be a name or a number, as in params.yaml, got {value!r}")
    return value


def _names(argument: str, values: Any) -> NDArray[Any]:
    """Whole numbers, numbers, truth values or text, (n,), as npy files hold them."""
    array = np.asarray(values)
    if array.dtype.kind == "O":
        if not all(isinstance(item, str | int | np.integer) for item in array.ravel()):
            odd = next(i for i in array.ravel() if not isinstance(i, str | int | np.integer))
            raise InputError(argument, f"must hold numbers or text, one is {odd!r:.80}")
        array = array.astype(np.str_)
    if array.ndim != 1:
        raise InputError(argument, f"must have one value per sample, its shape is {array.shape}")
    return array


def _ids_of_index(path: Any, samples: Sequence[Any]) -> Any:
    """The indices of frames, by split where there are several; None: they number the rows."""
    frames = [part for part in samples if isinstance(part, pd.DataFrame)]
    if len(frames) < len(samples) or all(f.index.equals(pd.RangeIndex(len(f))) for f in frames):
        return None
    ids = [np.asarray(frame.index) for frame in frames]
    return dict(zip(path, ids, strict=True)) if isinstance(path, dict) else ids[0]


def _vectors(argument: str, value: Any) -> NDArray[Any]:
    array = real_array(argument, value)
    if array.ndim != 2 or not array.size:
        mend = "vectors[:, None] where L is 1" if array.ndim == 1 and array.size else None
        raise InputError(argument, f"must have shape (samples, L), it has {array.shape}", mend)
    return array


def _call(argument: str, function: Callable[..., Any], x: Any) -> Any:
    try:
        return function(x)
    except Exception as error:  # whatever the user's own function raises
        what = f"raised {type(error).__name__} when called with x: {message_of(error)}"
        raise InputError(argument, what) from error


def _fitting_output(samples: Sequence[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Output and loss for samples that will not lie within 0 and 1; none where they will."""
    scale = data.get("scale")
    if scale == "minmax" or (scale is None and isinstance(samples[0], pd.DataFrame)):
        return {}
    arrays = [part for part in samples if isinstance(part, np.ndarray) and part.size]
    low = min((float(np.min(part.real)) for part in arrays), default=0.0)
    high = max((float(np.max(part.real)) for part in arrays), default=0.0)
    if scale == "standard" or low < 0 or (scale == "none" and high > 1):
        return {"output": "linear", "loss": "mean_squared_error"}
    return {}
