"""An HTML page as its elements."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Element:
    """An element: its name, its attributes, what is in it, and within which names it stands."""

    name: str
    attributes: dict[str, str]
    within: tuple[str, ...]
    parts: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, white space as single spaces."""
        return " ".join("".join(self.parts).split())

    def all(self, name: str) -> list[Element]:
        """The elements of a name below it, in order."""
        found = []
        for child in self.children:
            found += [child] * (child.name == name) + child.all(name)
        return found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {}, ())
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"{tag}: an attribute twice: {names}"
        within = tuple(element.name for element in self.open[1:])
        attributes = {name: value or "" for name, value in attrs}
        element = Element(tag, attributes, within)
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.parts.append(data)


def parse(html: str) -> Element:
    """The page; an assertion fails where an element is not closed by its own end."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert parser.open == [parser.root], f"left open: {[each.name for each in parser.open]}"
    return parser.root
