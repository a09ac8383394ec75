"""Text scripts of classic groups: who sends what, and what is answered.

A block of a script is commands, a line of dashes, and what they are answered with, up to an empty line.
PYRALOG_REWRITE=1 writes the answers anew. Commands:

  A join [v5] [id=..] [instance=..] [protocols=range:x,roundrobin:y] [session=..] [rebalance=..] [type=..] [reason=..]
  A sync [v3] [gen=..] [id=..] [instance=..] [protocol=..] [A=p0 B=p1]    a leader's assignments by client
  A beat | leave | commit [gen=..] [id=..] [instance=..]
  admin leave instance=..,..        +3000 (time passes)     crash      hold / release (answers wait for the log)
  refuse (the next records are too large)    group    delete    describe    settings name=value (first line)
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from pyralog.coordinator.group.classic_admin import DeleteGroup, DescribeGroup
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire import messages as m
from tests.sim.group_bench import Bench

FOLDER = Path(__file__).parent / "testdata"
GROUP = "g"


class Client:
    """What a client knows of itself."""

    def __init__(self) -> None:
        self.member_id = ""
        self.generation = -1
        self.instance: str | None = None


class Script:
    def __init__(self) -> None:
        self.bench = Bench()
        self.clients: dict[str, Client] = {}
        self.asked: dict[int, tuple[str, str]] = {}

    def run(self, line: str) -> list[str]:
        who, *words = line.split()
        if who.startswith("+"):
            self.bench.advance(int(who[1:]))
        elif who == "settings":
            values = {name: int(value) for name, value in (word.split("=") for word in words)}
            self.bench = Bench(GroupSettings()._replace(**values))
        elif who in ("crash", "hold", "release", "refuse", "group", "delete", "describe"):
            return getattr(self, who)() + self.told()
        else:
            verb, *options = words
            self.send(who, verb, dict(word.split("=", 1) if "=" in word else (word[0], word[1:]) for word in options))
        return self.told()

    def send(self, who: str, verb: str, options: dict[str, str]) -> None:
        client = self.clients.setdefault(who, Client())
        version = int(options.pop("v", -1))
        client.instance = options.pop("instance", client.instance)
        common = {"group_id": GROUP, "member_id": options.pop("id", client.member_id)}
        message: Any
        if verb == "join":
            protocols = options.pop("protocols", "range:x")
            session = int(options.pop("session", 10_000))
            message = m.JoinGroupRequest(
                **common,
                group_instance_id=client.instance,
                session_timeout_ms=session,
                rebalance_timeout_ms=int(options.pop("rebalance", 60_000)),
                protocol_type=options.pop("type", "consumer"),
                protocols=[
                    m.JoinGroupRequestProtocol(name=name, metadata=metadata.encode())
                    for name, _, metadata in (one.partition(":") for one in protocols.split(",") if one)
                ],
                reason=options.pop("reason", None),
            )
            version = 5 if version < 0 else version
        elif verb == "leave":
            instances = (client.instance or "").split(",") if client.instance else [None]
            member_id = "" if who == "admin" else common["member_id"]
            members = [m.MemberIdentity(member_id=member_id, group_instance_id=one) for one in instances]
            message = m.LeaveGroupRequest(group_id=GROUP, members=members)
        else:
            common["group_instance_id"] = client.instance  # type: ignore[assignment]
            generation = int(options.pop("gen", client.generation))
            if verb == "commit":
                common["generation_id_or_member_epoch"] = generation  # type: ignore[assignment]
                topic = m.OffsetCommitRequestTopic(
                    name="t", partitions=[m.OffsetCommitRequestPartition(partition_index=0, committed_offset=5)]
                )
                message = m.OffsetCommitRequest(**common, topics=[topic])
            elif verb == "beat":
                message = m.HeartbeatRequest(**common, generation_id=generation)
            else:
                protocol = options.pop("protocol", None)
                assignments = [
                    m.SyncGroupRequestAssignment(
                        member_id=self.clients[name].member_id, assignment=options.pop(name).encode()
                    )
                    for name in list(options)
                ]
                message = m.SyncGroupRequest(
                    **common, generation_id=generation, protocol_name=protocol, assignments=assignments
                )
        assert not options, options
        ticket = self.bench.send(message, max(version, 0), who)
        self.asked[ticket] = (who, verb)

    def told(self) -> list[str]:
        lines = []
        for ticket in sorted(self.bench.answers):
            answer = self.bench.answers.pop(ticket)
            who, verb = self.asked.pop(ticket)
            lines.append(f"{who} {verb}: {self.text(who, verb, answer)}")
        return lines

    def text(self, who: str, verb: str, answer: Any) -> str:
        client = self.clients.get(who, Client())
        if isinstance(answer, KafkaError):
            return error_text(answer.code)
        if verb == "join":
            if answer.error_code in (0, ErrorCode.MEMBER_ID_REQUIRED):
                client.member_id = answer.member_id
            if answer.error_code:
                return " ".join((error_text(answer.error_code), answer.member_id)).strip()
            client.generation = answer.generation_id
            members = ",".join(f"{one.member_id}:{one.metadata.decode()}" for one in answer.members)
            text = f"{answer.member_id} generation {answer.generation_id} {answer.protocol_name}, {answer.leader} leads"
            return text + (f" {members}" if members else "") + (" skip" if answer.skip_assignment else "")
        if verb == "sync":
            return error_text(answer.error_code) if answer.error_code else f"{answer.assignment.decode() or 'nothing'}"
        if verb == "leave":
            return " ".join(error_text(one.error_code) for one in answer.members)
        if verb == "commit":
            return error_text(answer.topics[0].partitions[0].error_code)
        return error_text(answer.error_code)

    def group(self) -> list[str]:
        group = self.bench.shard.groups.get(GROUP)
        if group is None:
            return ["no group"]
        lines = [f"{group.state_name()} generation {group.generation}, {group.leader} leads"]
        for id, one in group.members.items():
            lines.append(f"  {id} {one.assignment.decode() or 'nothing'}{' waits' if one.join_ticket else ''}")
        return lines + [f"  {id} pending" for id in sorted(group.pending)]

    def describe(self) -> list[str]:
        ticket = self.bench.submit(DescribeGroup(GROUP))
        answer = self.bench.answers.pop(ticket)
        if isinstance(answer, KafkaError):
            return [error_text(answer.code)]
        lines = [f"{answer.group_state} type={answer.protocol_type} protocol={answer.protocol_data}"]
        for one in answer.members:
            lines.append(f"  {one.member_id} {one.client_id} {one.client_host} {one.member_metadata!r}")
        return lines

    def delete(self) -> list[str]:
        answer = self.bench.answers.pop(self.bench.submit(DeleteGroup(GROUP)))
        return ["deleted" if answer is None else error_text(answer.code)]

    def crash(self) -> list[str]:
        lost = self.bench.crash()
        return [f"{who} {verb}: lost" for who, verb in (self.asked.pop(ticket) for ticket in sorted(lost))]

    def hold(self) -> list[str]:
        self.bench.auto = False
        return []

    def release(self) -> list[str]:
        self.bench.auto = True
        self.bench.commit()
        return []

    def refuse(self) -> list[str]:
        self.bench.refuse_records = True
        return []


def error_text(code: int) -> str:
    return "ok" if code == 0 else ErrorCode(code).name


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    text = path.read_text()
    written, script = [], Script()
    for block in re.split(r"\n\s*\n", text.strip()):
        commands, _, _ = block.partition("\n----")
        lines = [] if block.startswith("#!") else commands.splitlines()
        if commands.startswith("## "):
            script = Script()  # another case
        answers = [told for line in lines if not line.startswith("#") for told in script.run(line)]
        written.append("\n".join([commands, "----", *answers]) if any(not x.startswith("#") for x in lines) else block)
    result = "\n\n".join(written) + "\n"
    if os.environ.get("PYRALOG_REWRITE"):
        path.write_text(result)
    assert result == text
