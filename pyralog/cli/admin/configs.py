"""Configurations of topics, brokers and groups: read with their sources, changed key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyralog.cli.admin.ask import Rows, fail, note
from pyralog.cli.admin.telling import answered

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

Change = tuple[str, str | None]
# Kinds of resources whose name says nothing to people.
NAMED = {"broker": "node", "broker_logger": "the loggers of node"}


def send(client: KafkaAdminClient, request: Any, node: int | None = None) -> Any:
    """One request of the library's protocol, to a node or to any."""
    manager = client._manager
    return manager.run(lambda: manager.send(request) if node is None else manager.send(request, node_id=node))


def describe(client: KafkaAdminClient, kind: str, name: str) -> dict[str, dict[str, Any]]:
    """Every configuration of a resource by its name."""
    from kafka.admin import ConfigResource
    from kafka.admin._configs import ConfigFilterType

    resource = ConfigResource(kind, name)
    if name:
        found = client.describe_configs([resource], include_synonyms=True, config_filter="all")
    else:
        # What is set for all brokers has no name, which the library's own method takes for a mistake.
        answer = send(client, client._describe_configs_request([resource], True))
        found = client._describe_configs_process_responses([answer], ConfigFilterType.ALL)
    return dict(found.get(kind, {}).get(name, {}))


def config_rows(found: Mapping[str, dict[str, Any]], names: tuple[str, ...] = (), *, everything: bool) -> Rows:
    """The configurations as rows; without `everything` what is not at its default."""
    rows: Rows = []
    for name, each in sorted(found.items()):
        source = str(each.get("config_source", "")).lower()
        if (names and name not in names) or (not everything and source == "default_config"):
            continue
        rows.append(
            {
                "name": name,
                "value": "(secret)" if each.get("is_sensitive") else each.get("value"),
                "source": source.removesuffix("_config"),
                "read_only": bool(each.get("read_only")),
                "type": str(each.get("config_type", "")).lower(),
                "synonyms": [s["name"] if isinstance(s, dict) else s for s in each.get("synonyms") or []],
                "documentation": each.get("documentation"),
            }
        )
    return rows


def change_configs(
    client: KafkaAdminClient, kind: str, name: str, changes: Mapping[str, Change], *, dry_run: bool
) -> None:
    """Set and unset keys; ends the command when the cluster refuses, and then nothing is changed."""
    from kafka.admin import AlterConfigOp, ConfigResource

    wanted = {key: (AlterConfigOp[op], value) for key, (op, value) in changes.items()}
    resource = ConfigResource(kind, name, wanted)
    if name:
        answer = client.alter_configs([resource], validate_only=dry_run, raise_on_unknown=False, incremental=True)
    else:
        request = client._alter_configs_request([resource], dry_run, True)
        answer = client._alter_configs_process_responses(send(client, request).responses)
    if error := answered(str(answer.get(kind, {}).get(name, "no answer"))):
        fail(error)
    what = f"{NAMED.get(kind, kind)} {name}" if name else "all nodes"
    note(f"{'Would change' if dry_run else 'Changed'} {', '.join(sorted(changes))} of {what}.")
