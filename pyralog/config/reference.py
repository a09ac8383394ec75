"""Writes docs/CONFIGURATION.md from the schema, so that the page cannot say what the code does not do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from pyralog.config.defaults import PROFILES
from pyralog.config.keys import Key, all_keys, by_name
from pyralog.config.schema import Config
from pyralog.config.topics import TOPIC_CONFIGS, TopicConfig
from pyralog.config.units import LONG_MAX, readable_duration, readable_size, shown

PAGE = Path("docs/CONFIGURATION.md")

INTRODUCTION = """\
# Configuration

Written by `python -m pyralog.config.reference`; do not edit by hand.

`pyralog --config FILE` reads YAML, or JSON with `//`, `/* */` and `#` comments and trailing commas. Precedence, weakest
first: default, preset, file, `--dev`, environment, `--set KEY=VALUE`; `--data-dir DIR` is short for
`--set node.data_dir=DIR`, `-c` for `--config`, and `--port N` takes the place of the port in `network.listen_address`,
wherever that is set.

Every key has an environment name: `PYRALOG_` and its path in upper case, joined by `_`. `KAFKA_*` names, as compose
files for the `apache/kafka` image write them, set the keys through the synonyms below; `PYRALOG_*` wins over them.
Empty variables count as unset.

Sizes are bytes or texts such as `"64MiB"` and `"2GB"` (units of 1024 and of 1000), times are milliseconds or texts such
as `"10ms"`, `"30s"` and `"7d"`. Only `true` and `false` are booleans. A mistake stops the start with exit code 78; all
mistakes are listed, each with its place. `pyralog --check` only checks, `pyralog --print-config` shows every value and
where it comes from. `pyralog config explain NAME` tells about a key under any of its names, `pyralog config lint FILE`
checks a file on any machine, `pyralog config convert server.properties` makes one of Kafka's, and `pyralog config
schema` prints the JSON Schema by which editors complete and check.

A key marked *groups*, *transactions*, *compaction*, *cluster* or *operations* is checked and kept, and takes effect
with the release that brings that part.

The column "changes" tells how a key changes while nodes run: *restart* is read at the start; *node* may be set for all
nodes or for one, *cluster* for all nodes only. They are set by `pyralog-admin cluster config set`, `kafka-configs` or
any client's IncrementalAlterConfigs (resource BROKER; the empty name is all nodes), under the first Kafka synonym, or
under the path of a key that has none. What is set so takes effect at once, survives restarts, and wins over everything
else: node over cluster over `--set` over environment over file over default. A wrong value changes nothing.

SIGHUP (`systemctl reload pyralog`) has a node read its file again. Keys of *node* and *cluster* take effect at once;
what needs a restart, and what a value set while running hides, is logged. A file with mistakes changes nothing, and all
of them are logged. On a terminal SIGHUP ends the node.
"""

# What the column says of each scope.
CHANGES = {"static": "restart", "cluster": "node", "controller": "cluster"}

PRESETS = """\
## Presets

`profile: NAME` (or `preset: NAME`; `--set preset=NAME`, `PYRALOG_PRESET`) sets several keys at once. Whatever the file,
the environment or `--set` says of one of them wins; `--print-config` shows which values are the preset's.
"""

AFTER_PRESETS = """\
`low-latency` acknowledges what is synced to disk, and lets little wait for the next sync. `high-throughput` syncs
seldom and in large groups, so that a power failure may lose acknowledged records of the last 50 ms on that node.
`durable` keeps three synced copies: with three nodes, one that is lost stops `acks=all` writes until it is back or
`write_quorum` is lowered. A cluster with fewer nodes has as many copies as nodes, and a warning says so.
"""

TOPICS = """\
## Topic configs

All topic configs of Kafka 4.4. A topic that does not set one inherits the key named in the second column. Configs
marked *tiering* are accepted and, as in Kafka without tiered storage, have no effect.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_presets(), AFTER_PRESETS, *_keys(), TOPICS, *_topics(), _environment()])


def _presets() -> Iterator[str]:
    yield PRESETS
    yield "| preset | sets |"
    yield "|---|---|"
    for name, values in PROFILES.items():
        told = (f"`{'.'.join(path)}: {_readable(by_name()['.'.join(path)], value)}`" for path, value in values.items())
        yield f"| `{name}` | {', '.join(told)} |"
    yield ""


def _readable(key: Key, value: Any) -> str:
    if key.opt.unit == "bytes":
        return readable_size(value).replace(" ", "")
    return f"{value} ms" if key.opt.unit == "ms" else shown(value)


def _keys() -> Iterator[str]:
    for section, keys in groupby(all_keys().values(), key=lambda key: key.path[:-1]):
        if section:
            yield f"## {'.'.join(section)}\n"
            yield _section_doc(section) + "\n"
        else:
            yield "## Top level\n"
        yield "| key | default | allowed | Kafka synonym | changes | meaning |"
        yield "|---|---|---|---|---|---|"
        yield from (_row(key) for key in keys)
        yield ""


def _section_doc(path: tuple[str, ...]) -> str:
    section: type = Config
    doc = ""
    for name in path:
        field = section.model_fields[name]  # type: ignore[attr-defined]
        section, doc = field.annotation, field.annotation.__doc__ or ""
    return doc


def _row(key: Key) -> str:
    meaning = key.doc + ("" if key.opt.effect == "now" else f" *{key.opt.effect}*")
    synonyms = ", ".join(f"`{kafka.name}`" for kafka in key.kafka)
    changes = CHANGES[key.opt.scope]
    return (
        f"| `{key.path[-1]}` | {default_text(key)} | {_cell(key.range)} | {synonyms} | {changes} | {_cell(meaning)} |"
    )


def _cell(text: str) -> str:
    text = text.replace(str(LONG_MAX), "2^63-1").replace(str(-LONG_MAX - 1), "-2^63")
    return text.replace("2147483647", "2^31-1").replace("|", "\\|")


def default_text(key: Key) -> str:
    """The default in words, as Markdown."""
    value = key.default
    if key.opt.default is not None:
        rule = key.opt.default
        if "without a file" in rule:
            return f"`{value}`; {rule}"
        return rule
    if key.opt.unit == "bytes" and value > 0:
        readable = readable_size(value)
        return f"{value}" if readable.endswith(" B") else f"{value} ({readable})"
    if key.opt.unit == "ms" and value > 0 and value != LONG_MAX:
        readable = readable_duration(value)
        return f"{value}" if readable.endswith(" ms") else f"{value} ({readable})"
    if isinstance(value, tuple) and key.kind == "list":
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, str):
        return f"`{value}`"
    return _cell(shown(value) if isinstance(value, bool | int | float) else str(value))


def _topics() -> Iterator[str]:
    yield "| config | inherits | allowed | takes effect |"
    yield "|---|---|---|---|"
    for topic in TOPIC_CONFIGS.values():
        if topic.internal:
            continue
        inherits = f"`{topic.path}`" if topic.path else f"default `{topic.default}`"
        yield f"| `{topic.name}` | {inherits} | {allowed_text(topic)} | {_effect(topic)} |"
    yield ""


def allowed_text(topic: TopicConfig) -> str:
    """Type and range of a topic config in words."""
    if topic.choices:
        return ", ".join(topic.choices)
    if topic.lowest is None:
        return topic.type.name.lower()
    text = f"{topic.type.name.lower()} from {topic.lowest}"
    if topic.highest is not None:
        text += f" to {topic.highest}"
    return text + (f", or {topic.also}" if topic.also is not None else "")


def _effect(topic: TopicConfig) -> str:
    if topic.refusal is not None:
        return f"refused: {topic.refusal}"
    return "yes" if topic.effect == "now" else f"*{topic.effect}*"


def _environment() -> str:
    rows = ["## Environment names of the guide", "", "| variable | key |", "|---|---|"]
    rows += [f"| `{name}` | `{key.name}` |" for key in all_keys().values() for name in key.env[:-1]]
    rows += [
        "| `NODE_ID` | `node.node_id`, weaker than `PYRALOG_NODE_ID` |",
        "| `PYRALOG_LOG`, else `RUST_LOG` | log levels: `info`, or `pyralog=info,pyralog::storage=debug` |",
    ]
    return "\n".join(rows) + "\n"


def main() -> None:
    """Write the page; with an argument, to that file."""
    if any(word.startswith("-") for word in sys.argv[1:]):
        raise SystemExit("python -m pyralog.config.reference [FILE]")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    target.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
