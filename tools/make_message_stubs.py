"""Writes pyralog/wire/messages.pyi, the typed picture of the classes that wire/messages.py makes from the schemas."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from pyralog.wire import loading, schema  # noqa: E402
from pyralog.wire.schemas import index  # noqa: E402

OUT = ROOT / "pyralog" / "wire" / "messages.pyi"
PYTHON = {"bool": "bool", "float64": "float", "uuid": "bytes", "string": "str", "bytes": "bytes", "records": "bytes"}


def annotation(field: schema.FieldSpec) -> str:
    text = field.struct.name if field.struct else PYTHON.get(field.type, "int")
    if field.array:
        text = f"list[{text}]"
    return text if field.nullable == schema.NEVER else f"{text} | None"


def stub(spec: schema.StructSpec) -> list[str]:
    lines = [f"class {spec.name}(Message):"]
    lines += [f"    {field.name}: {annotation(field)}" for field in spec.fields]
    if not spec.fields:
        return [*lines, "    def __init__(self) -> None: ...", ""]
    arguments = ", ".join(f"{field.name}: {annotation(field)} = ..." for field in spec.fields)
    line = f"    def __init__(self, *, {arguments}) -> None: ..."
    if len(line) > 120:
        lines += ["    def __init__(", "        self,", "        *,"]
        lines += [f"        {field.name}: {annotation(field)} = ...," for field in spec.fields]
        lines += ["    ) -> None: ...", ""]
    else:
        lines += [line, ""]
    return lines


def walk(spec: schema.StructSpec, done: dict[str, list[str]]) -> None:
    if spec.name in done:
        return
    done[spec.name] = []
    for field in spec.fields:
        if field.struct:
            walk(field.struct, done)
    done[spec.name] = stub(spec)


def render() -> str:
    lines = ["# Made by tools/make_message_stubs.py from the tables in wire/schemas; do not edit.", ""]
    lines += ["from pyralog._speedups.codec import Message as Message", ""]
    entries = [loading.load_api(key) for key in sorted(index.APIS)]
    entries += [loading.load_blob(name) for name in (*index.BLOBS, *index.RECORDS)]
    for entry in entries:
        done: dict[str, list[str]] = {}
        for section in entry.schema.sections.values():
            walk(section, done)
        for stub_lines in done.values():
            lines += stub_lines
    return "\n".join(lines)


if __name__ == "__main__":
    OUT.write_text(render())
