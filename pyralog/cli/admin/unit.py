"""The systemd unit; packaging/systemd/pyralog.service is what `unit` makes of the Debian package's paths."""

from __future__ import annotations

from pathlib import PurePosixPath

UNIT = """# Made by `pyralog-admin generate systemd`.
[Unit]
Description=Pyralog Distributed Log Service
Documentation=man:pyralog(1) https://github.com/pyralog/pyralog/blob/main/docs/INSTALL.md
Wants=network-online.target
After=network-online.target

[Service]
{kind}
TimeoutStopSec=120
User=pyralog
Group=pyralog
ExecStart={command} --config {config}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
# A configuration with errors does not get better by trying again.
RestartPreventExitStatus=78
LimitNOFILE=1048576
LimitNPROC=32768

# It needs its two folders and the network, and nothing else.
{folders}ReadWritePaths={data} {logs}
UMask=0077
NoNewPrivileges=true
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=true
PrivateDevices=true
ProtectClock=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectControlGroups=true
ProtectProc=invisible
RemoveIPC=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
MemoryDenyWriteExecute=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
SIMPLE = "Type=simple"
NOTIFY = """\
# Started once the logs are recovered and clients may come, however long that takes; killed and started again when
# the control loop or the data plane no longer moves.
Type=notify
NotifyAccess=main
WatchdogSec=30
TimeoutStartSec=90"""
# Folders that systemd makes, for User= and not readable by others, when they lie where it has a name for them.
MADE = (("StateDirectory", "/var/lib/"), ("LogsDirectory", "/var/log/"))
# What ProtectHome=true hides.
HOMES = ("/home", "/root", "/run/user")


def unit(command: str, config: str, data: str, logs: str, *, notify: bool) -> str:
    """The unit's text; the home folders are seen by it only when one of these paths lies there, and then read-only."""
    folders = "".join(
        f"{name}={folder.removeprefix(parent)}\n{name}Mode=0750\n"
        for (name, parent), folder in zip(MADE, (data, logs), strict=True)
        if folder.startswith(parent)
    )
    at_home = any(PurePosixPath(path).is_relative_to(home) for path in (command, config, data, logs) for home in HOMES)
    return UNIT.format(
        kind=NOTIFY if notify else SIMPLE,
        command=command,
        config=config,
        folders=folders,
        data=data,
        logs=logs,
        home="read-only" if at_home else "true",
    )
