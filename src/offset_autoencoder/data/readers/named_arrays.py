"""Choice among the arrays of a file that holds several (npz, hdf5): which is which role's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from offset_autoencoder.config.data_schema import SplitName
from offset_autoencoder.data.readers.base import ColumnRoles, Reader, RoleKeys, Table, only_one
from offset_autoencoder.data.readers.role_values import Origin
from offset_autoencoder.errors import InputError, first_names
from offset_autoencoder.io.arrays import row_major

_SPLIT_WORDS: dict[str, SplitName] = {"train": "train", "test": "test", "val": "validation"}
_SPLIT = re.compile(r"(.*?)[-_./ ]?(train|test|val)(?:ing|id|idation)?(?![a-z])[-_./ ]?(.*)", re.I)

Shape = tuple[int, ...]
ByStem = dict[str, dict[SplitName, str]]


class ArrayFile(NamedTuple):
    """An open file of arrays: their names, and functions from a name to shape and values."""

    names: Sequence[str]
    shape: Callable[[str], Shape]
    read: Callable[[str], NDArray[Any]]


def arrays_reader(
    name: str,
    file_names: str,
    pattern: str,
    open_file: Callable[[Path], AbstractContextManager[ArrayFile]],
    python: str,
) -> Reader:
    """Reader of a format whose files hold several arrays; the rest is as in :class:`.Reader`."""

    def read(path: Path, roles: ColumnRoles) -> Table:
        with open_file(path) as file:
            return read_arrays(path, file, roles, python)

    def values(path: Path, roles: ColumnRoles) -> NDArray[Any]:
        with open_file(path) as file:
            return file.read(only_one(path, file.names, "array", "an npy file"))

    def names(path: Path) -> Sequence[str]:
        with open_file(path) as file:
            return file.names

    ending = re.compile(pattern)
    return Reader(name, file_names, ending, "arrays", read, values, arrays=names, python=python)


def read_arrays(path: Path, file: ArrayFile, roles: ColumnRoles, python: str) -> Table:
    """Features, and labels, ids and splits where they are assigned, of one file.

    Raises:
        InputError: where an array is missing, or of a length other than the features'; and see
            :func:`_choose_arrays`.
    """
    features, others = _choose_arrays(path, file.names, roles, file.shape)
    origins = {
        role: Origin(f"{path}, array {name!r}", python.format(path=str(path), name=name))
        for role, name in others.items()
    }
    x = row_major(file.read(features))
    values = {role: file.read(name) for role, name in others.items()}
    return Table.from_roles(x, path, values, origins=origins)


def _choose_arrays(
    path: Path, names: Sequence[str], roles: ColumnRoles, shape: Callable[[str], Shape]
) -> tuple[str, dict[str, str]]:
    """Names of the array of the features and of those of the other roles, by role.

    Of a file that is read for a split, ``X`` also stands for ``X_train`` where that is the split,
    and so do the names of the other roles. Features without a name are the array ``x``, or else
    the only one of two or more dimensions that has no other role.

    Raises:
        InputError: where an array that is named is missing, or it is open which holds the features.
    """
    by_stem = split_arrays(names)

    def full_name(name: str) -> str:
        name = name if name in names else name.strip("/")
        of_split = {} if name in names else by_stem.get(name.lower(), {})
        return of_split.get(roles.part, name) if roles.part else name

    key = roles.keys.location("features")
    if roles.features is not None and len(roles.features) != 1:
        what = f"names one array of {path}, got {first_names(roles.features) or 'none'}"
        of_splits = next(iter(split_arrays(roles.features).values()), {})
        raise InputError(key, what, _setting(roles.keys, "features", of_splits))
    named = {role: full_name(name) for role, name in roles.named.items()}
    given = None if roles.features is None else full_name(roles.features[0])
    for role, name in {**named, **({} if given is None else {"features": given})}.items():
        _check_split(path, names, roles, role, name)
    found = replace(
        roles,
        features=None if given is None else (given,),
        label=named.get("label"),
        id=named.get("id"),
        split=named.get("split"),
    )
    found.check_names(names, str(path), "array")
    features = _features(path, names, roles, set(named.values()), shape) if given is None else given
    return features, named


def _check_split(
    path: Path, names: Sequence[str], roles: ColumnRoles, role: str, name: str
) -> None:
    """Refuse a name that several splits' arrays share, and that of the train split for another."""
    by_stem = split_arrays(names)
    what, of_splits = f"{path} has no array {name!r}", by_stem.get(name.lower(), {})
    if name in names and roles.part not in (None, "train"):
        what = f"array {name!r} of {path} is named for the {roles.part} split, too"
        shared = [s for s in by_stem.values() if s.get("train") == name and roles.part in s]
        of_splits = shared[0] if shared else {}
    elif name in names:
        return
    if of_splits:
        hint = _setting(roles.keys, role, of_splits)
        raise InputError(roles.keys.location(role), what, hint)


def _features(
    path: Path,
    names: Sequence[str],
    roles: ColumnRoles,
    others: set[str],
    shape: Callable[[str], Shape],
) -> str:
    by_stem = split_arrays(names)
    free = [name for name in names if name not in others]
    for name in ("x", "X", by_stem.get("x", {}).get(roles.part) if roles.part else None):
        if name in free:
            return name
    shapes = {name: shape(name) for name in free}
    matrices = [name for name, sizes in shapes.items() if len(sizes) >= 2]
    of_part = [
        name
        for of_splits in by_stem.values()
        for split, name in of_splits.items()
        if split == roles.part and name in matrices
    ]
    if len(of_part) == 1 or len(matrices) == 1:
        return (of_part if len(of_part) == 1 else matrices)[0]
    listed = first_names(f"{name} {sizes}" for name, sizes in shapes.items())
    what = f"which array of {path} holds the features? It holds {listed or 'none'}"
    several = [s for s in split_arrays(matrices).values() if "train" in s and len(s) > 1]
    hint = _setting(roles.keys, "features", several[0] if several else {})
    raise InputError(roles.keys.location("features"), what, f"name one{hint and f', or {hint}'}")


def split_arrays(names: Sequence[str]) -> ByStem:
    """Arrays of which each split has one, by what their names share, in lower case.

    ``{"x": {"train": "X_train", "test": "X_test"}}``.
    """
    by_stem: ByStem = {}
    for name in names:
        if found := _SPLIT.fullmatch(name):
            before, word, after = found.groups()
            split = _SPLIT_WORDS[word.lower()]
            by_stem.setdefault((before + after).lower(), {}).setdefault(split, name)
    return by_stem


def _setting(keys: RoleKeys, role: str, of_splits: Mapping[SplitName, str]) -> str:
    """Setting that names an array per split, as the user may write it, or "" where none does."""
    if keys.file is None or not of_splits:
        return ""
    key = keys.location(role).removeprefix(f"{keys.file}: ")
    return f"{key}: {{{', '.join(f'{split}: {name}' for split, name in of_splits.items())}}}"
