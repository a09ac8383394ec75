"""Advertised addresses: configured, for this machine, through a container's gateway, and for everybody else."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyralog.config.endpoints import Address, Listener
from pyralog.net.advertised import AdvertisedAddress, container_gateway, plain_ip, registered_address


@dataclass
class Connection:
    peer_host: str
    local_host: str
    local_port: int = 9092


ANY = Listener("PLAINTEXT", Address("0.0.0.0", 9092))
ANY_6 = Listener("PLAINTEXT", Address("::", 9092))
NAMED = Listener("PLAINTEXT", Address("0.0.0.0", 9092), Address("kafka.example.com", 29092))


@pytest.mark.parametrize(
    ("listener", "peer", "local", "told"),
    [
        (NAMED, "127.0.0.1", "127.0.0.1", ("kafka.example.com", 29092)),
        (NAMED, "10.1.2.3", "10.0.0.1", ("kafka.example.com", 29092)),
        # `localhost` may resolve to ::1 first, where an IPv4 listener does not answer.
        (ANY, "127.0.0.1", "127.0.0.1", ("127.0.0.1", 9092)),
        (ANY_6, "127.0.0.1", "127.0.0.1", ("localhost", 9092)),
        (ANY_6, "::1", "::1", ("localhost", 9092)),
        (ANY_6, "::ffff:127.0.0.1", "::ffff:127.0.0.1", ("localhost", 9092)),
        (ANY, "172.17.0.1", "172.17.0.5", ("localhost", 9092)),
        (ANY, "172.17.0.9", "172.17.0.5", ("172.17.0.5", 9092)),
        (ANY, "10.1.2.3", "10.0.0.1", ("10.0.0.1", 9092)),
        (ANY_6, "::ffff:10.1.2.3", "::ffff:10.0.0.1", ("10.0.0.1", 9092)),
        (ANY_6, "fd00::2", "fd00::1", ("fd00::1", 9092)),
    ],
)
def test_each_connection_is_told_how_it_reaches_this_node(
    listener: Listener, peer: str, local: str, told: tuple[str, int]
) -> None:
    assert AdvertisedAddress([listener], "172.17.0.1").address_for(Connection(peer, local)) == told


def test_several_listeners_answer_for_themselves() -> None:
    inside = Listener("INSIDE", Address("0.0.0.0", 19092))
    answers = AdvertisedAddress([NAMED, inside])
    assert answers.address_for(Connection("10.1.2.3", "10.0.0.1", 9092)) == ("kafka.example.com", 29092)
    assert answers.address_for(Connection("10.1.2.3", "10.0.0.1", 19092)) == ("10.0.0.1", 19092)


def test_what_is_told_is_logged_once_for_each_subnet(caplog: pytest.LogCaptureFixture) -> None:
    answers = AdvertisedAddress([ANY])
    with caplog.at_level(logging.INFO):
        for peer in ("10.1.2.3", "10.1.2.4", "10.1.3.3", "fd00::1", "fd00::2"):
            answers.address_for(Connection(peer, "10.0.0.1"))
    assert [r.getMessage().split()[2] for r in caplog.records] == ["10.1.2.0/24", "10.1.3.0/24", "fd00::/64"]


def test_the_gateway_counts_only_in_a_container(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    )
    mark = tmp_path / ".dockerenv"
    assert container_gateway(str(routes), [str(mark)]) is None
    mark.touch()
    assert container_gateway(str(routes), [str(mark)]) == "172.17.0.1"
    assert container_gateway(str(tmp_path / "missing"), [str(mark)]) is None


def test_registered_address() -> None:
    assert registered_address(NAMED, "node1") == ("kafka.example.com", 29092)
    assert registered_address(ANY, "node1") == ("node1", 9092)
    assert registered_address(Listener("P", Address("10.0.0.1", 9092)), "node1") == ("10.0.0.1", 9092)


def test_plain_ip() -> None:
    assert str(plain_ip("::ffff:1.2.3.4")) == "1.2.3.4"
    assert str(plain_ip("fe80::1%eth0")) == "fe80::1"
    assert plain_ip("example.com") is None
