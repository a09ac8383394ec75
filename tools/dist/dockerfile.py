"""Runs the steps of our Dockerfile in chroots, where no container engine is; only what that file uses is understood.

    python -m tools.dist.dockerfile BASE OUT     # as root; BASE: a folder to copy as the base image, OUT: made

BASE stands for python:3.13-slim: a minimal Debian trixie whose python3.13 is also called `python`
(`tests/packaging/test_image.py` makes one). The steps have this machine's network and pip settings.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.dist.wheels import ROOT

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DECLARED = {"EXPOSE", "VOLUME", "STOPSIGNAL", "LABEL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


@dataclass
class Stage:
    """One FROM: its folder, and what the instructions said so far."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    folder: str = "/"
    declared: dict[str, str] = field(default_factory=dict)

    def list_of(self, name: str) -> list[str]:
        """The words of an ENTRYPOINT, CMD or HEALTHCHECK in its JSON form."""
        text = self.declared.get(name, "[]")
        return list(json.loads(text[text.index("[") :]))


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Name and argument of each instruction, with continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, argument = line.strip().partition(" ")
            yield name.upper(), argument.strip()


def build(base: Path, out: Path, dockerfile: Path = ROOT / "Dockerfile") -> Stage:
    """Run all stages; the last one is in `out`."""
    stages: dict[str, Stage] = {}
    stage = None
    parsed = list(instructions(dockerfile.read_text(encoding="utf-8")))
    last = sum(name == "FROM" for name, _ in parsed) - 1
    for name, argument in parsed:
        if name == "FROM":
            number = len(stages)
            root = out if number == last else out.with_name(f"{out.name}-{number}")
            subprocess.run(["cp", "-a", str(base), str(root)], check=True)
            alias = argument.split()[2] if " AS " in argument else str(number)
            stage = stages[alias] = Stage(root)
            continue
        assert stage is not None, "FROM comes first"
        _step(stage, stages, name, argument)
    assert stage is not None
    return stage


def _step(stage: Stage, stages: dict[str, Stage], name: str, argument: str) -> None:
    print(f"+ {name} {argument[:100]}", flush=True)
    if name == "RUN":
        run(stage, ["sh", "-ec", argument])
    elif name == "COPY":
        copy(stage, stages, argument)
    elif name == "WORKDIR":
        stage.folder = argument
        (stage.root / argument.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif name == "ARG":
        key, _, value = argument.partition("=")
        stage.environment.setdefault(key, value)
    elif name == "ENV":
        for word in shlex.split(argument):
            key, _, value = word.partition("=")
            stage.environment[key] = re.sub(r"\$\{(\w+)\}", lambda found: stage.environment[found[1]], value)
    elif name in DECLARED:
        stage.declared[name] = argument
    else:
        raise SystemExit(f"{name} is not understood here")


def run(stage: Stage, command: list[str]) -> None:
    """A command within the stage, as root, with this machine's name service and pip settings."""
    for name in ("resolv.conf", "hosts"):
        shutil.copy(Path("/etc") / name, stage.root / "etc" / name)
    mine = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    certificates = os.environ.get("PIP_CERT")
    if certificates:
        target = stage.root / certificates.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(certificates, target)
    within = ["env", f"--chdir={stage.folder}", *command]
    chroot = shutil.which("chroot") or "/usr/sbin/chroot"
    script = 'mount -t proc proc "$1/proc" && shift && exec "$@"'
    isolated = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(stage.root)]
    environment = {**mine, **stage.environment, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*isolated, chroot, str(stage.root), *within], env=environment, check=True)


def copy(stage: Stage, stages: dict[str, Stage], argument: str) -> None:
    """COPY [--from=STAGE] SOURCE TARGET; from the repository what .dockerignore lets through."""
    words = argument.split()
    options = [word for word in words if word.startswith("--")]
    source, target = [word for word in words if word not in options]
    place = stage.root / stage.folder.lstrip("/") / target if target.startswith(".") else stage.root / target.lstrip("/")
    if options:
        other = stages[options[0].removeprefix("--from=")]
        shutil.copytree(other.root / source.lstrip("/"), place, symlinks=True, dirs_exist_ok=True)
        return
    for path in context():
        inner = path.relative_to(ROOT)
        if source != "." and inner.as_posix() != source:
            continue
        to = place / inner if source == "." else place
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)


def context() -> Iterator[Path]:
    """The files that .dockerignore lets a build see."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    tops = [rule[1:] for rule in rules if rule.startswith("!")]
    for top in tops:
        place = ROOT / top
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            name = path.relative_to(ROOT).as_posix()
            ignored = any(matches(name, rule) for rule in rules if rule != "*" and not rule.startswith("!"))
            if path.is_file() and not ignored:
                yield path


def matches(name: str, rule: str) -> bool:
    """Whether a rule ignores a file: `**/x` at any depth, `*` within a folder, and a folder with all that is in it."""
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    parts = re.split(r"(\*\*/|\*\*|\*)", rule)
    expression = "".join(meanings.get(part, re.escape(part)) for part in parts)
    return re.match(f"{expression}(?:/|$)", name) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    build(options.base.resolve(), options.out.resolve())


if __name__ == "__main__":
    main()
