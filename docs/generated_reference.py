"""Sphinx directives that write the reference of params.yaml and of the commands from the source."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any, ClassVar

import typer
from docutils import nodes
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from offset_autoencoder.cli.app import PROGRAM, app
from offset_autoencoder.config import data_schema, schema, systems, values
from offset_autoencoder.config.offset_kinds import OFFSETS

SECTIONS: dict[str, type[values.Section]] = {
    "data": data_schema.Data,
    "split": data_schema.Split,
    "network": schema.Network,
    "train": schema.Train,
    "models.NAME": systems.Model,
    "evaluate": schema.Evaluate,
    "evaluate.anomaly": schema.Anomaly,
    "tracking": schema.Tracking,
    **{f"offsets.NAME ({kind})": section for kind, section in OFFSETS.items()},
}
_SLIP = 2**20  # bounds from here on only catch slips of the keyboard


def as_markdown(text: str) -> str:
    """Markdown of a docstring: its roles, literals and Python's names of YAML's values."""
    text = re.sub(r":\w+:`\.?([^`]+)`", lambda m: f"`{m[1].rpartition('.')[2]}`", text)
    text = text.replace("``", "`")
    words = {"None": "`null`", "True": "`true`", "False": "`false`"}
    return re.sub(r"\b(None|True|False)\b", lambda match: words[match[1]], text)


def key_descriptions(section: type) -> dict[str, str]:
    """What the docstrings of a section and its bases say of each key."""
    found: dict[str, str] = {}
    for base in section.__mro__:
        _, _, listed = (inspect.getdoc(base) or "").partition("Attributes:\n")
        for match in re.finditer(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", listed, re.M):
            found.setdefault(match[1], " ".join(match[2].split()))
    return found


def allowed(shape: dict[str, Any]) -> str:
    """The values that a JSON schema allows, in words."""
    if "anyOf" in shape:
        return " or ".join(dict.fromkeys(allowed(member) for member in shape["anyOf"]))
    if "enum" in shape or "const" in shape:
        names = shape.get("enum", [shape.get("const")])
        return ", ".join(f"`{name}`" for name in names)
    bounds = [
        f"{sign} {shape[key]:g}"
        for key, sign in [
            *(("minimum", "≥"), ("ge", "≥"), ("exclusiveMinimum", ">"), ("gt", ">")),
            *(("maximum", "≤"), ("le", "≤"), ("exclusiveMaximum", "<"), ("lt", "<")),
        ]
        if key in shape and abs(shape[key]) < _SLIP
    ]
    words = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "`true` or `false`",
        "null": "`null`",
        "object": "a value per name",
    }
    if shape.get("type") == "array":
        return f"list of {allowed(shape.get('items', {})).replace('number', 'numbers')}"
    if "propertyNames" in shape:
        return "one per split"
    return " ".join([words.get(shape.get("type", ""), "any value"), " and ".join(bounds)]).strip()


def default_of(field: FieldInfo) -> str:
    """The default of a key as YAML has it."""
    return field.default if isinstance(field.default, str) else json.dumps(field.default)


def section_reference(where: str) -> str:
    """Markdown of all keys of a section: values, default and meaning.

    Raises:
        ExtensionError: where a key is described nowhere.
    """
    section = SECTIONS[where]
    summary = as_markdown((inspect.getdoc(section) or "").partition("\n\nAttributes:")[0])
    described, shapes = key_descriptions(section), section.model_json_schema()
    lines = [summary, ""]
    for key, field in section.model_fields.items():
        if key == "kind" and where.startswith("offsets."):
            continue
        if key not in described:
            raise ExtensionError(f"{section.__name__}: its docstring does not describe {key}")
        shape = shapes["properties"][key]
        choice = allowed(shape) if "$ref" not in json.dumps(shape) else "a section, see below"
        default = "required" if field.is_required() else f"default `{default_of(field)}`"
        lines += [f"`{key}`: {choice}; {default}", f": {as_markdown(described[key])}", ""]
    return "\n".join(lines)


def commands_reference() -> str:
    """Markdown of every command: usage, help, arguments and options."""
    group: Any = typer.main.get_command(app)
    lines: list[str] = []
    for name, command in group.commands.items():
        context = command.context_class(command, info_name=f"{PROGRAM} {name}")
        usage = command.get_usage(context).removeprefix("Usage: ")
        lines += [f"## {name}", "", f"`{usage}`", "", inspect.cleandoc(command.help or ""), ""]
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record and "--help" not in record[0]:
                lines += [f"`{record[0]}`", f": {' '.join(record[1].split())}", ""]
    return "\n".join(lines)


class Params(SphinxDirective):
    """``{params} SECTION``: the keys of a section of params.yaml."""

    required_arguments: ClassVar[int] = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Nodes of the section's keys."""
        return self.parse_text_to_nodes(section_reference(self.arguments[0]))


class Commands(SphinxDirective):
    """``{commands}``: the commands of the command line."""

    def run(self) -> list[nodes.Node]:
        """Nodes of all commands."""
        return self.parse_text_to_nodes(commands_reference(), allow_section_headings=True)


def setup(sphinx: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    sphinx.add_directive("params", Params)
    sphinx.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
