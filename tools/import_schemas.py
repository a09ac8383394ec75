"""Converts Kafka's message definitions (JSON inside its jars) to our compact schema tables.

    mvn -q dependency:get -Dartifact=org.apache.kafka:kafka_2.13:4.4.0
    cd ~/.m2/repository/org/apache/kafka
    python tools/import_schemas.py kafka-clients/4.4.0/kafka-clients-4.4.0.jar \\
        kafka-group-coordinator/4.4.0/kafka-group-coordinator-4.4.0.jar \\
        kafka-transaction-coordinator/4.4.0/kafka-transaction-coordinator-4.4.0.jar

Writes pyralog/wire/schemas/*.py, whose form pyralog/wire/schema.py documents. Only what goes over the wire is taken:
names, types, versions, tags, defaults, nullability. Versions that no advertised range reaches are left out.
"""

import json
import pathlib
import re
import sys
import zipfile
from typing import Any

OUT = pathlib.Path(__file__).parent.parent / "pyralog" / "wire" / "schemas"

FAMILIES: dict[str, tuple[str, list[int]]] = {
    "records": ("Reading and writing records", [0, 1, 2, 21, 23]),
    "metadata": ("What there is: versions, brokers, topics", [3, 18, 60, 75]),
    "topics": ("Changing topics", [19, 20, 37]),
    "groups": ("Classic groups and committed offsets", [8, 9, 10, 11, 12, 13, 14, 15, 16, 42, 47]),
    "consumer_groups": ("Consumer groups of KIP-848", [68, 69]),
    "transactions": ("Idempotent producers and transactions", [22, 24, 25, 26, 27, 28, 61, 65, 66]),
    "security": ("Logins, ACLs, SCRAM credentials, delegation tokens", [17, 29, 30, 31, 36, 38, 39, 40, 41, 50, 51]),
    "configs": ("Configurations and quotas", [32, 33, 44, 48, 49, 74]),
    "cluster": (
        "Log directories, elections, reassignments, quorum, features",
        [34, 35, 43, 45, 46, 55, 57, 64, 80, 81],
    ),
    "share_groups": ("Share groups (KIP-932)", [76, 77, 78, 79, 90, 91, 92]),
    "streams_groups": ("Streams groups (KIP-1071)", [88, 89]),
    "telemetry": ("Client metrics (KIP-714)", [71, 72]),
}
# Versions that the definitions mark as unstable and no broker advertises.
STABLE_MAX = {22: 5}
# Fields that Kafka fills by version in code; ours are dropped where the version lacks them.
IGNORABLE = {("ElectLeadersResponse", "ErrorCode")}
# Blobs inside requests; they carry their own version.
DATA = ["ConsumerProtocolSubscription", "ConsumerProtocolAssignment"]
# Keys and values of the records in __consumer_offsets and __transaction_state: a key begins with its type's number, a
# value with its version.
RECORDS = [
    "LegacyOffsetCommit",
    "OffsetCommit",
    "GroupMetadata",
    "ConsumerGroupMetadata",
    "ConsumerGroupPartitionMetadata",
    "ConsumerGroupMemberMetadata",
    "ConsumerGroupTargetAssignmentMetadata",
    "ConsumerGroupTargetAssignmentMember",
    "ConsumerGroupCurrentMemberAssignment",
    "ConsumerGroupRegularExpression",
    "TransactionLog",
]

Range = tuple[int, int]
OPEN = 32767


def load(jar: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if name.startswith("common/message/") and name.endswith(".json"):
                text = re.sub(r"^\s*//.*$", "", archive.read(name).decode(), flags=re.M)
                message = json.loads(text)
                found[message["name"]] = message
    return found


def snake(name: str) -> str:
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()


def parse_range(text: str | None) -> Range | None:
    if not text or text == "none":
        return None
    if text.endswith("+"):
        return int(text[:-1]), OPEN
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def cut(inner: Range | None, outer: Range) -> Range | None:
    if inner is None:
        return None
    low, high = max(inner[0], outer[0]), min(inner[1], outer[1])
    return (low, high) if low <= high else None


def show(part: Range, whole: Range) -> str:
    """The versions `part`, which lies within `whole`; empty when they are the same."""
    if part == whole:
        return ""
    if part[1] == whole[1]:
        return f"{part[0]}+"
    return str(part[0]) if part[0] == part[1] else f"{part[0]}-{part[1]}"


def struct_names(messages: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    """Messages that use each nested struct name."""
    users: dict[str, set[str]] = {}

    def walk(fields: list[dict[str, Any]], message: str) -> None:
        for field in fields:
            base = field["type"].removeprefix("[]")
            if base[0].isupper():
                users.setdefault(base, set()).add(message)
            walk(field.get("fields", []), message)

    for name, message in messages.items():
        if message["validVersions"] == "none":
            continue
        walk(message["fields"], name)
        for common in message.get("commonStructs", []):
            walk(common["fields"], name)
    return users


class Writer:
    """One message as indented lines."""

    def __init__(self, message: dict[str, Any], valid: Range, users: dict[str, set[str]]) -> None:
        self.message = message
        self.valid = valid
        self.users = users
        self.common = {c["name"]: c["fields"] for c in message.get("commonStructs", [])}
        self.done: set[str] = set()
        self.structs: list[str] = []
        self.rows: list[tuple[int, str, str, str]] = []

    def class_name(self, struct: str) -> str:
        return struct if len(self.users.get(struct, ())) == 1 else self.message["name"] + struct

    def fields(self, fields: list[dict[str, Any]], outer: Range, depth: int) -> None:
        for field in fields:
            present = cut(parse_range(field.get("versions") or field["taggedVersions"]), outer)
            if present:
                self.field(field, present, outer, depth)

    def field(self, field: dict[str, Any], present: Range, outer: Range, depth: int) -> None:
        kind = field["type"]
        prefix, base = ("[]", kind[2:]) if kind.startswith("[]") else ("", kind)
        struct = base if base[0].isupper() else None
        text = prefix + (self.class_name(struct) if struct else base)
        nullable = cut(parse_range(field.get("nullableVersions")), present)
        if nullable:
            text += "?" + show(nullable, present)
        notes = [show(present, outer)]
        if "tag" in field:
            tagged = cut(parse_range(field["taggedVersions"]), present)
            assert tagged == present, field
            notes.append(f"tag={field['tag']}")
        if field.get("ignorable") or (self.message["name"], field["name"]) in IGNORABLE:
            notes.append("ignorable")
        default = field.get("default", "null" if base == "records" else "")
        default = "null" if default is None else default
        if default != "" and (not isinstance(default, str) or default not in ("0", "false")):
            notes.append("= " + str(default))
        self.rows.append((depth, snake(field["name"]), text, " ".join(note for note in notes if note)))
        if struct and struct not in self.done:
            self.done.add(struct)
            self.structs.append(self.class_name(struct))
            if struct in self.common:
                self.fields(self.common[struct], self.valid, depth + 1)
            else:
                self.fields(field["fields"], present, depth + 1)

    def lines(self) -> list[str]:
        self.fields(self.message["fields"], self.valid, 1)
        widths: dict[int, int] = {}
        for depth, name, _, _ in self.rows:
            widths[depth] = max(widths.get(depth, 0), len(name))
        return [
            f"{'  ' * depth}{name:{widths[depth]}} {text} {notes}".rstrip() for depth, name, text, notes in self.rows
        ]


def versions_text(valid: Range) -> str:
    return str(valid[0]) if valid[0] == valid[1] else f"{valid[0]}-{valid[1]}"


def valid_range(message: dict[str, Any]) -> Range:
    valid = parse_range(message["validVersions"])
    assert valid
    return valid[0], min(valid[1], STABLE_MAX.get(message.get("apiKey", -1), OPEN))


def flexible_from(message: dict[str, Any]) -> int | None:
    flexible = parse_range(message["flexibleVersions"])
    return flexible[0] if flexible else None


def family_module(title: str, entries: list[tuple[int | str, list[str]]]) -> str:
    by, kind = ("API key", "int") if isinstance(entries[0][0], int) else ("name", "str")
    out = [f'"""{title}: schemas by {by} (form: see wire/schema.py)."""', "", f"SCHEMAS: dict[{kind}, str] = {{"]
    for key, lines in entries:
        shown = key if isinstance(key, int) else f'"{key}"'
        out += [f'    {shown}: """', *lines, '""",']
    return "\n".join([*out, "}", ""])


def wrapped(key: str, names: list[str]) -> list[str]:
    """A dict entry whose value is a space-separated string, folded to the line length."""
    lines, line = [], ""
    for name in names:
        if len(line) + len(name) > 100:
            lines.append(line)
            line = ""
        line += name + " "
    lines.append(line)
    if len(lines) == 1:
        return [f'    {key}: "{lines[0].rstrip()}",']
    return [f"    {key}: (", *[f'        "{text}"' for text in [*lines[:-1], lines[-1].rstrip()]], "    ),"]


def blob_entry(message: dict[str, Any], users: dict[str, set[str]]) -> tuple[list[str], list[str]]:
    """The lines of a blob, and the structs inside it."""
    writer = Writer(message, valid_range(message), users)
    flexible = flexible_from(message)
    head = f"{message['name']} {versions_text(writer.valid)}" + (
        f" flexible {flexible}+" if flexible is not None else ""
    )
    return [head, "data", *writer.lines()], writer.structs


def main(clients: str, *coordinators: str) -> None:
    messages = load(clients)
    users = struct_names(messages)
    by_key: dict[int, dict[str, dict[str, Any]]] = {}
    for message in messages.values():
        if "apiKey" in message:
            by_key.setdefault(message["apiKey"], {})[message["type"]] = message
    rows, structs = {}, {}
    for family, (title, keys) in FAMILIES.items():
        entries: list[tuple[int | str, list[str]]] = []
        for key in keys:
            request, response = by_key[key]["request"], by_key[key]["response"]
            valid, flexible = valid_range(request), flexible_from(request)
            assert (valid, flexible) == (valid_range(response), flexible_from(response)), key
            name = request["name"].removesuffix("Request")
            head = f"{name} {versions_text(valid)}" + (f" flexible {flexible}+" if flexible is not None else "")
            writers = [Writer(request, valid, users), Writer(response, valid, users)]
            lines = [head, "request", *writers[0].lines(), "response", *writers[1].lines()]
            entries.append((key, lines))
            rows[key] = (name, family, *valid, flexible)
            structs[key] = [*writers[0].structs, *writers[1].structs]
        (OUT / f"{family}.py").write_text(family_module(title, entries))
    data: list[tuple[int | str, list[str]]] = []
    data_structs = {}
    for name in DATA:
        lines, data_structs[name] = blob_entry(messages[name], users)
        data.append((name, lines))
    (OUT / "blobs.py").write_text(family_module("Blobs inside requests", data))
    records: list[tuple[int | str, list[str]]] = []
    record_structs, record_keys = {}, {}
    definitions = {name: message for jar in coordinators for name, message in load(jar).items()}
    for record in RECORDS:
        record_keys[record] = definitions[record + "Key"]["apiKey"]
        for name in (record + "Key", record + "Value"):
            lines, record_structs[name] = blob_entry(definitions[name], {})
            records.append((name, lines))
    (OUT / "coordinator_records.py").write_text(family_module("Records of the coordinators' topics", records))
    index = [
        '"""Which APIs and structs there are, and in which module, so that one API can load at a time."""',
        "",
    ]
    index += ["# key: name, module in this folder, first and last version, first flexible version", "# fmt: off"]
    index += ["APIS: dict[int, tuple[str, str, int, int, int | None]] = {"]
    index += [
        f"    {key}: {json.dumps(list(row)).replace('null', 'None')[1:-1].join('()')},"
        for key, row in sorted(rows.items())
    ]
    index += ["}", "", "# key: structs inside request and response", "STRUCTS: dict[int, str] = {"]
    for key, names in sorted(structs.items()):
        if names:
            index += wrapped(str(key), names)
    index += ["}", "", "# blob: structs inside", "BLOBS: dict[str, str] = {"]
    for name, names in data_structs.items():
        index += wrapped(f'"{name}"', names)
    index += ["}", "", "# record of a coordinator's topic: the type that its key begins with"]
    index += ["RECORD_TYPES: dict[str, int] = {", *[f'    "{name}": {key},' for name, key in record_keys.items()], "}"]
    index += ["", "# its key and value: structs inside", "RECORDS: dict[str, str] = {"]
    for name, names in record_structs.items():
        index += wrapped(f'"{name}"', names)
    index += ["}", "# fmt: on", ""]
    (OUT / "index.py").write_text("\n".join(index))


if __name__ == "__main__":
    main(*sys.argv[1:])
