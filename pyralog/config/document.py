"""Reads a YAML or JSON file into plain values and remembers the line and column of every key and value."""

from __future__ import annotations

from typing import Any

import yaml

from pyralog.config.marks import BOOL, FLOAT, INT, NULL, Document, Path, plain
from pyralog.config.problems import Place, Problem

# A file of ten thousand values is a mistake or an attack (aliases multiply), not a configuration.
MAX_NODES = 10_000
MAX_DEPTH = 20


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's scalars: only true and false are booleans, no base 60, no octal, 1e3 is a number."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_DIGITS = "-+0123456789"
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", NULL, ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", BOOL, list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", INT, list(_DIGITS))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list(_DIGITS + "."))


def read_document(data: bytes, name: str) -> Document:
    """The tree of a file's bytes; `name` decides about JSON, as does a leading brace."""
    document = Document()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        document.problems.append(Problem("", "not UTF-8 text", Place(line, 1)))
        return document
    if name.endswith(".json") or text.lstrip().startswith(("{", "//", "/*")):
        text = blank_comments(text)
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        document.problems.append(_syntax_problem(error))
        return document
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.problems.append(Problem("", f"character #x{error.character:04x} is not allowed", Place(line, 1)))
        return document
    if root is None or _is_null(root):
        return document
    if not isinstance(root, yaml.MappingNode):
        document.problems.append(Problem("", "the file must hold keys and values, not a single value", _place(root)))
        return document
    document.tree = _Builder(document).mapping(root, ())
    return document


def bracketed(text: str) -> Any:
    """The value of a bracketed list or map of a variable; the text itself where it is none."""
    document = Document()
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.YAMLError:
        return text
    finally:
        loader.dispose()
    if node is None:
        return text
    value = _Builder(document).value(node, ())
    return text if document.problems else value


# Line ends to YAML, plain characters to JSON.
_YAML_LINE_ENDS = str.maketrans({"\x85": "\\N", "\u2028": "\\L", "\u2029": "\\P"})


def blank_comments(text: str) -> str:
    """JSON with //, /* */ and # comments as YAML's flow style: comments and tabs outside strings become spaces."""
    out: list[str] = []
    position, end = 0, len(text)
    while position < end:
        char = text[position]
        if char in "\"'":
            stop = _string_end(text, position)
            quoted = text[position:stop]
            out.append(quoted.translate(_YAML_LINE_ENDS) if char == '"' else quoted)
        elif char == "#" or text.startswith("//", position):
            stop = text.find("\n", position)
            stop = end if stop < 0 else stop
            out.append(" " * (stop - position))
        elif text.startswith("/*", position):
            stop = text.find("*/", position + 2)
            stop = end if stop < 0 else stop + 2
            out.append("".join(c if c in "\r\n" else " " for c in text[position:stop]))
        else:
            stop = position + 1
            out.append(" " if char == "\t" else char)
        position = stop
    return "".join(out)


def _string_end(text: str, start: int) -> int:
    """The position behind the quoted string that starts here."""
    quote, position = text[start], start + 1
    while position < len(text):
        if text[position] == "\\" and quote == '"':
            position += 2
        elif text[position] == quote:
            return position + 1
        else:
            position += 1
    return len(text)


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    context = f" ({error.context})" if error.context else ""
    return Problem("", f"cannot be read: {error.problem or 'syntax error'}{context}", place)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _text(node: yaml.ScalarNode) -> Any:
    """The value of a scalar node."""
    return _joined(node.value) if node.tag == "tag:yaml.org,2002:str" else plain(node.value)


def _joined(text: str) -> str:
    """A text with JSON's surrogate pairs (escapes of one character by two) joined; PyYAML leaves them apart."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))


class _Builder:
    """Turns composed nodes into values, noting places and problems."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        """The value of any node."""
        self._nodes += 1
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            if self._nodes <= MAX_NODES or self._nodes == MAX_NODES + 1:
                self._problem(path, "too many or too deeply nested values", _place(node))
            return None
        self._document.value_places.setdefault(path, _place(node))
        if node.tag not in _TAGS:
            self._problem(path, f"tag {node.tag} is not allowed", _place(node))
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, str(index))) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # there are three kinds
        return _text(node)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        """A mapping; a key given twice is a problem, and its first value stays."""
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(".".join(path), "a key must be a plain word", _place(key_node))
                continue
            key = _joined(key_node.value)
            key_path = (*path, key)
            if key in result:
                first = self._document.key_places[key_path]
                self._problem(key_path, f"duplicate key, first given at {first}", _place(key_node))
                continue
            self._document.key_places[key_path] = _place(key_node)
            result[key] = self.value(value_node, key_path)
            if self._nodes > MAX_NODES:
                break
        return result

    def _problem(self, path: Path | str, message: str, place: Place) -> None:
        name = path if isinstance(path, str) else ".".join(path)
        self._document.problems.append(Problem(name, message, place))
