"""Manual pages, written from the commands and the configuration schema themselves: pyralog(1), pyralog-admin(1),
pyralog.yaml(5). `pyralog-admin generate man DIR` writes them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from itertools import groupby

import click

from pyralog.config.keys import Key, all_keys, section_of
from pyralog.config.schema import Config
from pyralog.config.topics import TOPIC_CONFIGS
from pyralog.config.units import LONG_MAX, readable_duration, readable_size, shown
from pyralog.version import __version__

# Named once at the top of pyralog-admin(1), since every command takes them.
HELP = "--help"
COMMON = frozenset({"cluster", "command_config", "form", "yes", "no_progress", HELP})
WIDTH = 2000  # of click's usage lines, so that roff breaks them

Lines = Iterator[str]

DAEMON_DESCRIPTION = (
    "pyralog runs one node of a Kafka-compatible broker until it is stopped by SIGTERM or SIGINT. Without a file its "
    "data lies in ./pyralog-data and clients are served on 127.0.0.1:9092.",
    'When clients may come it prints one line to the standard output: "Pyralog VERSION ready: Kafka on HOST:PORT".',
)
ENVIRONMENT = (
    ("PYRALOG_LOG, RUST_LOG", 'Log levels: "info", or "pyralog=info,pyralog::storage=debug". The first one wins.'),
    ("PYRALOG_<KEY>", "Every key of pyralog.yaml(5): its path in upper case, joined by _."),
    ("KAFKA_<NAME>", "Kafka's names, as compose files for the apache/kafka image write them."),
    ("NODE_ID", "node.node_id; weaker than PYRALOG_NODE_ID."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "Set by systemd for units of Type=notify."),
)
FILES = (
    ("/etc/pyralog/config.json, /etc/pyralog/config.yaml", "Where units look for the configuration, pyralog.yaml(5)."),
    ("/var/lib/pyralog", "Data."),
    ("/var/log/pyralog", "pyralog.log, error.log and audit.log, where the folder exists."),
)
DAEMON_EXITS = (
    ("0", "Stopped on request."),
    ("1", "It could not start, or could not go on."),
    ("2", "Wrong usage."),
    ("78", "The configuration is wrong; every mistake was listed and nothing was started."),
)
ADMIN_EXITS = (
    ("0", "Done."),
    ("1", "Failed."),
    ("2", "Wrong usage."),
    ("3", "The cluster cannot be reached."),
    ("4", "Done in part, or unhealthy."),
)
FORMAT_DESCRIPTION = (
    "YAML, or JSON with //, /* */ and # comments and trailing commas; the same tree in both. Sizes are bytes or texts "
    'such as "64MiB" and "2GB", times are milliseconds or texts such as "10ms" and "7d". Only true and false are '
    "booleans. An unknown key is an error; all mistakes are listed, each with its place.",
    "Precedence, weakest first: default, profile, file, --dev, environment, --set KEY=VALUE, what is set while nodes "
    "run. Keys marked dynamic may be set so, under the first of their Kafka names or their own, and take effect at "
    "once; they also do when SIGHUP has a node read its file again.",
)


def escaped(text: str) -> str:
    """Plain text for roff: backslashes, hyphens that are to stay such, and lines that would be requests."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    text = text.replace("'", "\\(aq").replace("`", "\\(ga")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def _header(name: str, section: int, purpose: str) -> Lines:
    # What distributions set so that a build can be repeated to the byte.
    built = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())), UTC).date()
    yield '.\\" Written by "pyralog-admin generate man"; do not edit.'
    yield f'.TH {escaped(name.upper())} {section} {built} "Pyralog {__version__}" "Pyralog Manual"'
    yield ".nh"  # names of keys and options are not to be broken
    yield ".ad l"
    yield ".SH NAME"
    yield f"{escaped(name)} \\- {escaped(purpose)}"


def _paragraphs(texts: Iterable[str]) -> Lines:
    for number, text in enumerate(texts):
        if number:
            yield ".PP"
        yield escaped(" ".join(text.split()))


def _terms(terms: Iterable[tuple[str, str]]) -> Lines:
    for term, text in terms:
        yield ".TP"
        yield f".B {escaped(term)}"
        yield escaped(" ".join(text.split())) or "\\&"


def _help(command: click.Command) -> list[str]:
    return [text for text in (command.help or "").split("\n\n") if text.strip()]


def _context(command: click.Command, name: str) -> click.Context:
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    return click.Context(command, info_name=name, **settings)


def _options(command: click.Command, name: str, leave_out: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    context = _context(command, name)
    named = [each for each in command.get_params(context) if not leave_out & {str(each.name), *each.opts}]
    records = [each.get_help_record(context) for each in named]
    return [record for record in records if record is not None and record[1]]


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below this one that can be run, with its full name, in the order of the help."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = _context(command, name)
    for word in command.list_commands(context):
        inner = command.get_command(context, word)
        if inner is not None and not inner.hidden:
            yield from _commands(inner, f"{name} {word}")


def _usage(command: click.Command, name: str) -> str:
    context = _context(command, name)
    return escaped(" ".join([name, *command.collect_usage_pieces(context)]))


def _chapters(commands: Iterable[tuple[str, click.Command]], leave_out: frozenset[str]) -> Lines:
    for name, command in commands:
        yield f".SS {escaped(name)}"
        yield f".B {_usage(command, name)}"
        yield ".PP"
        yield from _paragraphs(_help(command))
        yield from _terms(_options(command, name, leave_out))


def daemon_page() -> str:
    """pyralog(1)."""
    from pyralog.cli.daemon import TOOLS, main

    lines = [*_header("pyralog", 1, "run a node of a Kafka-compatible distributed log")]
    lines += [".SH SYNOPSIS", f".B {_usage(main, 'pyralog')}", ".SH DESCRIPTION"]
    lines += [*_paragraphs(DAEMON_DESCRIPTION), ".SH OPTIONS", *_terms(_options(main, "pyralog"))]
    lines += [".SH TOOLS", escaped("Beside the broker, by their first word:")]
    for word, place in TOOLS.items():
        module, _, attribute = place.partition(":")
        tool = getattr(import_module(module), attribute)
        lines += _chapters(_commands(tool, f"pyralog {word}"), frozenset({HELP}))
    lines += [".SH ENVIRONMENT", *_terms(ENVIRONMENT), ".SH FILES", *_terms(FILES)]
    lines += [".SH EXIT STATUS", *_terms(DAEMON_EXITS)]
    lines += [".SH SEE ALSO", r".BR pyralog\-admin (1),", ".BR pyralog.yaml (5)"]
    return "\n".join(lines) + "\n"


def admin_page() -> str:
    """pyralog-admin(1)."""
    from pyralog.cli.admin.main import main

    name = "pyralog-admin"
    lines = [*_header(name, 1, "look at a Kafka-compatible cluster, change it, measure it, save it")]
    lines += [".SH SYNOPSIS", f".B {_usage(main, name)}", ".SH DESCRIPTION", *_paragraphs(_help(main))]
    lines += [".SH OPTIONS", *_terms(_options(main, name))]
    lines += [".SH COMMANDS", *_chapters(_commands(main, name), COMMON)]
    lines += [".SH ENVIRONMENT", *_terms([("PYRALOG_CLUSTER", "The cluster, when --cluster does not name it.")])]
    lines += [".SH EXIT STATUS", *_terms(ADMIN_EXITS), ".SH SEE ALSO", ".BR pyralog (1),", ".BR pyralog.yaml (5)"]
    return "\n".join(lines) + "\n"


def config_page() -> str:
    """pyralog.yaml(5)."""
    lines = [*_header("pyralog.yaml", 5, "configuration of a Pyralog node"), ".SH DESCRIPTION"]
    lines += [*_paragraphs(FORMAT_DESCRIPTION), ".SH KEYS"]
    for section, keys in groupby(all_keys().values(), key=lambda key: key.path[:-1]):
        if section:
            lines += [f".SS {escaped('.'.join(section))}", *_paragraphs([_section_help(section)])]
        else:
            lines += [".SS Top level"]
        lines += _terms((key.name, _key_text(key)) for key in keys)
    lines += [".SH TOPIC CONFIGS", escaped("Kafka's names. A topic that does not set one inherits the key.")]
    lines += _terms(
        (topic.name, f"Inherits {topic.path}." if topic.path else f'Default "{topic.default}".')
        for topic in TOPIC_CONFIGS.values()
        if not topic.internal
    )
    lines += [".SH SEE ALSO", ".BR pyralog (1),", r".BR pyralog\-admin (1)"]
    return "\n".join(lines) + "\n"


def _section_help(path: tuple[str, ...]) -> str:
    section = Config
    for name in path:
        inner = section_of(section.model_fields[name])
        assert inner is not None
        section = inner  # type: ignore[assignment]
    return section.__doc__ or ""


def _key_text(key: Key) -> str:
    parts = [key.doc, f"Default: {_default(key)}."]
    if key.range:
        parts.append(f"Allowed: {key.range}.".replace(str(LONG_MAX), "2^63-1").replace("2147483647", "2^31-1"))
    if key.kafka:
        parts.append(f"Kafka: {', '.join(kafka.name for kafka in key.kafka)}.")
    parts.append(f"Environment: {', '.join(key.env)}.")
    if key.opt.scope != "static":
        parts.append("Dynamic.")
    if key.opt.effect != "now":
        parts.append(f"Takes effect with a later release ({key.opt.effect}).")
    return " ".join(parts)


def _default(key: Key) -> str:
    value, rule = key.default, key.opt.default
    if rule is not None:
        return f"{value}; {rule}" if "without a file" in rule else rule
    if value == LONG_MAX:
        return "2^63-1"
    if key.opt.unit is not None and value > 0:
        return f"{value} ({(readable_size if key.opt.unit == 'bytes' else readable_duration)(value)})"
    return shown(value) if isinstance(value, bool | int | float) else str(value) or '""'


PAGES = {"pyralog.1": daemon_page, "pyralog-admin.1": admin_page, "pyralog.yaml.5": config_page}
