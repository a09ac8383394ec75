"""What `pyralog config explain` tells: about one key under any of its names, about a section, or about everything."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from pyralog.config.dynamic import dynamic_by_path
from pyralog.config.keys import (
    ALIASES,
    Key,
    all_keys,
    by_env_name,
    by_kafka_name,
    by_name,
    nearest,
    section_of,
    sections,
)
from pyralog.config.reference import allowed_text, default_text
from pyralog.config.schema import Config
from pyralog.config.topics import TOPIC_CONFIGS, TopicConfig

WIDTH = 44
_HINTS = {"bytes": ', or a text such as "64MiB"', "ms": ', or a text such as "30s"'}
_CHANGES = {
    "static": "with a restart",
    "cluster": "while running, for all nodes or one, as {name}",
    "controller": "while running, for all nodes, as {name}",
}


class UnknownNameError(LookupError):
    """No key, section, Kafka name, topic config or variable of this name."""


def explained(name: str) -> str:
    """The text about a name; about all sections without one."""
    if not name:
        return "\n".join(_sections())
    path = tuple(name.split("."))
    path = next((ALIASES[a] + path[len(a) :] for a in ALIASES if path[: len(a)] == a), path)
    if path in all_keys():
        return "\n".join(_key(all_keys()[path]))
    if path in sections():
        return "\n".join(_section(path))
    texts = []
    if name in by_kafka_name():
        texts.append("\n".join(_key(by_kafka_name()[name][0])))
    if name in TOPIC_CONFIGS:
        texts.append("\n".join(_topic(TOPIC_CONFIGS[name])))
    if name in by_env_name():
        texts.append("\n".join(_key(by_env_name()[name])))
    if not texts:
        raise UnknownNameError(f"{name}: unknown. {_hint(name, path)}`pyralog config explain` lists the sections.")
    return "\n\n".join(texts)


def _hint(name: str, path: tuple[str, ...]) -> str:
    names = {*by_name(), *by_kafka_name(), *TOPIC_CONFIGS, *by_env_name()}
    close = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.75)
    meant = close[0] if close else nearest(path)
    if meant is not None and meant not in names and ".".join((*path[:-1], meant)) in names:
        meant = ".".join((*path[:-1], meant))
    return f'Did you mean "{meant}"? ' if meant else ""


def _sections() -> Iterator[str]:
    for path in sorted({key.path[:-1] for key in all_keys().values()} | {p for p in sections() if len(p) == 1}):
        if path:
            yield f"{'.'.join(path):<{WIDTH}} {_doc(path)}"
    yield ""
    yield "With the name of a section: its keys. With a key, a Kafka name, a topic config or a variable: what it means."


def _doc(path: tuple[str, ...]) -> str:
    section: type = Config
    for name in path:
        inner = section_of(section.model_fields[name])  # type: ignore[attr-defined]
        assert inner is not None
        section = inner
    return " ".join((section.__doc__ or "").split())


def _section(path: tuple[str, ...]) -> Iterator[str]:
    yield f"{'.'.join(path)}: {_doc(path)}"
    for key in all_keys().values():
        if key.path[: len(path)] == path:
            name = ".".join(key.path[len(path) :])
            yield f"  {name:<{WIDTH}} {_plain(default_text(key))}"
            yield f"      {key.doc}"


def _key(key: Key) -> Iterator[str]:
    yield key.name
    yield f"  {key.doc}"
    rows = [("Default", _plain(default_text(key)))]
    if allowed := key.range:
        rows.append(("Allowed", allowed + _HINTS.get(key.opt.unit or "", "")))
    if key.kafka:
        rows.append(("Kafka", ", ".join(kafka.name for kafka in key.kafka)))
    rows.append(("Variables", ", ".join((*key.env, *(_variable(kafka.name) for kafka in key.kafka)))))
    dynamic = dynamic_by_path().get(key.name)
    rows.append(("Changes", _CHANGES[key.opt.scope].format(name=dynamic.name if dynamic else "")))
    if key.opt.effect != "now":
        rows.append(("Effect", f"checked and kept; it takes effect with the release that brings: {key.opt.effect}"))
    if topic := next((one for one in TOPIC_CONFIGS.values() if one.path == key.name), None):
        rows.append(("Topics", f"the default of the topic config {topic.name}"))
    yield from (f"  {label + ':':<11}{text}" for label, text in rows)


def _topic(topic: TopicConfig) -> Iterator[str]:
    key = by_name().get(topic.path or "")
    yield f"{topic.name} (of a topic)"
    yield f"  {topic.doc or (key.doc if key else '')}"
    yield f"  {'Inherits:':<11}{topic.path or f'nothing; its default is {topic.default}'}"
    yield f"  {'Allowed:':<11}{allowed_text(topic)}"
    yield f"  {'Changes:':<11}while running, by AlterConfigs on the topic"
    if topic.refusal:
        yield f"  {'Effect:':<11}refused: {topic.refusal}"


def _variable(kafka: str) -> str:
    """The variable of a Kafka name by the rule of the apache/kafka image."""
    return "KAFKA_" + kafka.replace("_", "__").replace("-", "___").replace(".", "_").upper()


def _plain(text: str) -> str:
    return text.replace("`", "")
