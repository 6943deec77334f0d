"""params.yaml as a document: YAML as DVC reads it, of text that files and terminals can hold."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from offset_autoencoder.errors import InputError, short_repr
from offset_autoencoder.io.files import special_file


class _Constructor(SafeConstructor):
    """Constructor that tells where a value is none of its tag, as ``!!bool maybe``."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (YAMLError, RecursionError):
            raise
        except Exception:  # whatever the constructor of that tag comes upon
            tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
            problem = f"{short_repr(node.value)} is no {tag}"
            raise ConstructorError(None, None, problem, node.start_mark) from None


def _check_texts(where: str, value: Any, seen: set[int]) -> None:
    """Refuse text of params.yaml, keys too, that neither files nor terminals can hold.

    What an alias repeats is gone through once.
    """
    if isinstance(value, str):
        if not value.isprintable() and any(
            unicodedata.category(c) in ("Cc", "Cs") for c in value if c not in "\t\n\r"
        ):
            what = f"{short_repr(value)} holds a control character or half of a surrogate pair"
            raise InputError(where, what, "leave it out")
    elif isinstance(value, (dict, list)) and id(value) not in seen:
        seen.add(id(value))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            _check_texts(where, key, seen)
            inner = f"{where}[{key}]" if isinstance(value, list) else f"{where}.{key}"
            _check_texts(inner.replace(".yaml.", ".yaml: ", 1), item, seen)


def read_document(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 file whose top level is a mapping, by the loader that DVC uses.

    Raises:
        InputError: where the file is missing, is not YAML, gives a key twice, or is no mapping.
    """
    if kind := special_file(path):
        raise InputError(str(path), f"is {kind}, expected a file")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(str(path), "no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"cannot be read as UTF-8 text: {error}") from None
    yaml = YAML(typ="safe")
    yaml.Constructor = _Constructor
    try:
        document = yaml.load(text)
        _check_texts(str(path), document, set())
    except MarkedYAMLError as error:
        mark, problem = error.problem_mark, str(error.problem)
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        if isinstance(error, DuplicateKeyError):
            key = problem.partition('key "')[2].partition('"')[0]
            problem = f"the key {key!r} is given twice"
        raise InputError(where, f"is not valid YAML: {problem}") from None
    except RecursionError:
        raise InputError(str(path), "is nested too deeply for a params file") from None
    except (YAMLError, ValueError) as error:
        raise InputError(str(path), f"is not valid YAML: {error}") from None
    if not isinstance(document, dict):
        raise InputError(str(path), f"must hold a mapping of sections, got {short_repr(document)}")
    return document
