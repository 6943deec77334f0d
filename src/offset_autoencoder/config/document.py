"""params.yaml as text → plain Python values, read the way DVC reads them.

DVC reads YAML 1.2 and PyYAML reads YAML 1.1, in which ``1e-3`` is a string, ``no`` is false
and a key given twice silently takes its last value. The loader here takes the scalars of
YAML 1.2's core schema, and merge keys (``<<``) as DVC does, and refuses a key given twice.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from offset_autoencoder.errors import InputError, short_repr

_SCALARS = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "int": (r"^[-+]?[0-9]+$", "-+0123456789"),
    "float": (
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+0123456789.",
    ),
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "merge": (r"^<<$", "<"),
}


class _CoreSchemaLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    # Here and not where mappings are constructed: by then merge keys may have been resolved.
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return node


for _name in ("int", "float", "bool", "null", "merge"):
    _pattern, _first = _SCALARS[_name]
    _CoreSchemaLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(_pattern), list(_first)
    )


def _decimal_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


_CoreSchemaLoader.add_constructor("tag:yaml.org,2002:int", _decimal_int)


def read_document(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        InputError: where the file is missing, is not YAML, gives a key twice, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(str(path), "no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"cannot be read as UTF-8 text: {error}") from None
    try:
        document = yaml.load(text, Loader=_CoreSchemaLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise InputError(where, f"is not valid YAML: {error.problem}") from None
    except RecursionError:
        raise InputError(str(path), "is nested too deeply for a params file") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(str(path), f"is not valid YAML: {error}") from None
    if not isinstance(document, dict):
        raise InputError(str(path), f"must hold a mapping of sections, got {short_repr(document)}")
    return document
