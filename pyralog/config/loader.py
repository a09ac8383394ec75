"""Puts a configuration together: defaults < profile < file < --dev < environment < --set, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pyralog.config.checks import cross_checks, raised_read_quorum
from pyralog.config.defaults import DEVELOPMENT, computed, lookup, preset_values, put
from pyralog.config.endpoints import parse_address
from pyralog.config.environment import Overlay, as_value, read_environment
from pyralog.config.keys import ALIASES, all_keys, by_name, nearest, sections
from pyralog.config.marks import Document, Path
from pyralog.config.problems import NOWHERE, ConfigError, Place, Problem
from pyralog.config.schema import Config, Origin
from pyralog.config.translate import refusal
from pyralog.config.units import shown

MAX_FILE_BYTES = 4 * 1024**2
LISTEN_ADDRESS, LISTENERS = ("network", "listen_address"), ("network", "listeners")
INTERNAL_ADDRESS = ("network", "internal_address")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that holds, and what the operator should hear about it."""

    config: Config
    warnings: tuple[str, ...]
    places: Mapping[str, Place]

    def place(self, path: str) -> Place:
        """Where the value of a dotted path was given."""
        return self.places.get(path, NOWHERE)


def load(
    file: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    settings: Sequence[str] = (),
    dev: bool = False,
    port: int | None = None,
) -> Loaded:
    """Read file, environment and --set; ConfigError with every problem at once when anything is wrong.

    `port`, of --port, takes the place of the one in network.listen_address, whoever has given that.
    """
    return _Load(file, environ or {}, settings, dev, port=port).run()


def load_bytes(data: bytes, name: str) -> Loaded:
    """Read a file's content alone, without the environment; ConfigError as from `load`."""
    return _Load(name, {}, (), False, content=data).run()


def load_tree(values: Mapping[Path, Any], names: Mapping[Path, str]) -> Loaded:
    """Check values by path as if each had been set where `names` says; ConfigError as from `load`."""
    return _Load("", {}, (), False, content=b"", given=Overlay(values=dict(values), names=dict(names))).run()


@dataclass(slots=True)
class _Load:
    file: str | None
    environ: Mapping[str, str]
    settings: Sequence[str]
    dev: bool
    port: int | None = None
    content: bytes | None = None  # of the file, where it has been read already
    given: Overlay = field(default_factory=Overlay)
    tree: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, Origin] = field(default_factory=dict)
    document: Document = field(default_factory=Document)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)

    def run(self) -> Loaded:
        if self.file is not None:
            self._read_file(self.file)
        if self.dev:
            self._dev()
        self._overlay(self.given, "env")
        self._overlay(read_environment(self.environ), "env")
        self._overlay(self._settings(), "set")
        self._underlay()
        if self.port is not None:
            self._choose_port(self.port)
        config = self._validate()
        if config is not None:
            self._cross_check(config)
        if self.problems or config is None:
            raise ConfigError(self.problems, self.file)
        if (raised := raised_read_quorum(config)) is not None:
            needed, why = raised
            self.warnings.append(why)
            quorum = config.replication.quorum.model_copy(update={"read_quorum": needed})
            replication = config.replication.model_copy(update={"quorum": quorum})
            config = config.model_copy(update={"replication": replication})
        origins = {".".join(path): origin for path, origin in self.origins.items() if origin.kind != "default"}
        places = {name: self._place(tuple(name.split("."))) for name in origins}
        return Loaded(config.with_origins(origins), tuple(self.warnings), places)

    # -- layers -------------------------------------------------------------------------------------------------

    def _read_file(self, name: str) -> None:
        data = self.content
        try:
            if data is None:
                with FilePath(name).open("rb") as stream:
                    data = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            self.problems.append(Problem("", f"cannot be read: {error.strerror}"))
            return
        if len(data) > MAX_FILE_BYTES:
            self.problems.append(Problem("", f"is larger than {MAX_FILE_BYTES // 1024**2} MiB"))
            return
        from pyralog.config.document import read_document  # yaml is slow to import; without a file it is not needed

        self.document = read_document(data, name)
        self.problems += self.document.problems
        self.tree = self.document.tree
        for key_path, place in self.document.value_places.items():
            self.origins[key_path] = Origin("file", f"{name}:{place}")
        for alias, target in ALIASES.items():
            self._move(alias, target)

    def _move(self, alias: Path, target: Path) -> None:
        """Take a section from its second place to its first, marks included; both at once is a mistake."""
        if lookup(self.tree, alias) is None:
            return
        if lookup(self.tree, target) is not None:
            place = self.document.key_places[alias]
            other = self.document.key_places[target]
            self.problems.append(Problem(".".join(alias), f"is the same key as {'.'.join(target)} at {other}", place))
        parent = lookup(self.tree, alias[:-1])
        put(self.tree, target, parent.pop(alias[-1]))
        _rename(self.document.key_places, alias, target)
        _rename(self.document.value_places, alias, target)
        _rename(self.origins, alias, target)

    def _dev(self) -> None:
        """Forget the file's cluster: the members are then this node, whatever its id turns out to be."""
        node = self.tree.get("node")
        if isinstance(node, dict):
            node.pop("cluster_nodes", None)
        self.origins = {path: origin for path, origin in self.origins.items() if path[:2] != ("node", "cluster_nodes")}
        self._overlay(Overlay(values=dict(DEVELOPMENT), names=dict.fromkeys(DEVELOPMENT, "--dev")), "dev")

    def _overlay(self, overlay: Overlay, kind: str) -> None:
        self.problems += overlay.problems
        self.warnings += overlay.warnings
        for path, value in overlay.values.items():
            name = overlay.names[path]
            if not put(self.tree, path, value):
                continue  # the file has a value where a section belongs; validation reports it
            self.origins[path] = Origin(kind, name)

    def _settings(self) -> Overlay:
        overlay = Overlay()
        for setting in self.settings:
            name, mark, text = setting.partition("=")
            place = Place(name="--set")
            path = tuple(name.strip().split("."))
            path = next((ALIASES[a] + path[len(a) :] for a in ALIASES if path[: len(a)] == a), path)
            key = by_name().get(".".join(path))
            if not mark:
                overlay.problems.append(Problem("", f"{shown(setting)} is not KEY=VALUE", Place(name="--set")))
            elif path in sections():
                problem = Problem(".".join(path), "is a section; set one of its keys", place)
                overlay.problems.append(problem)
            elif key is None:
                overlay.problems.append(Problem(".".join(path), _unknown(path), place))
            else:
                overlay.put(path, as_value(key, text), "--set")
        return overlay

    def _choose_port(self, port: int) -> None:
        """Listen there, and on the same host as without it."""
        if lookup(self.tree, LISTENERS):
            message = "has a port for each listener; --port is for network.listen_address"
            self.problems.append(Problem(".".join(LISTENERS), message, Place(name="--port")))
            return
        try:
            address = parse_address(lookup(self.tree, LISTEN_ADDRESS) or all_keys()[LISTEN_ADDRESS].default)
        except ValueError:
            return  # validation reports it
        overlay = Overlay()
        overlay.put(LISTEN_ADDRESS, str(address._replace(port=port)), "--port")
        origin = self.origins.get(INTERNAL_ADDRESS)
        if origin is None or origin.kind in ("default", "dev"):
            inside = parse_address(lookup(self.tree, INTERNAL_ADDRESS) or all_keys()[INTERNAL_ADDRESS].default)
            if inside.port == port:  # nobody has asked for that one, so that it makes way
                overlay.put(INTERNAL_ADDRESS, str(inside._replace(port=port + 1)), "--port")
        self._overlay(overlay, "set")

    def _underlay(self) -> None:
        """The profile and the computed defaults, where nothing else is set."""
        profile = lookup(self.tree, ("profile",))
        values, warning = preset_values(profile if isinstance(profile, str) else "", self.tree)
        if warning is not None and warning not in self.warnings:
            self.warnings.append(warning)
        for path, value in values.items():
            if lookup(self.tree, path) is None and put(self.tree, path, value):
                self.origins[path] = Origin("profile", f"profile {profile}")
        for path, value in computed(self.tree, zero_config=self.file is None).items():
            if put(self.tree, path, value):
                self.origins[path] = Origin("default")

    # -- checks -------------------------------------------------------------------------------------------------

    def _validate(self) -> Config | None:
        """Report what the models refuse; a configuration without the wrong keys, so that the rest is checked too."""
        try:
            return Config.model_validate(self._filled())
        except ValidationError as error:
            wrong = error.errors(include_url=False)
        for detail in wrong:
            self._translate(detail)
        for detail in wrong:
            _remove(self.tree, tuple(str(part) for part in detail["loc"]))
        self._underlay()
        try:
            return Config.model_validate(self._filled())
        except ValidationError:
            return None

    def _filled(self) -> dict[str, Any]:
        """The tree with every section in it, as an empty one where it is left out or null (`storage:` alone).

        So one schema validates everything at once; a section of its own would cost a schema of its own at start.
        """
        for path in sorted(sections(), key=len):
            if lookup(self.tree, path) is None:
                put(self.tree, path, {})
        return self.tree

    def _translate(self, detail: ErrorDetails) -> None:
        path = tuple(str(part) for part in detail["loc"])
        key = next((all_keys()[path[:n]] for n in range(len(path), 0, -1) if path[:n] in all_keys()), None)
        self.damaged.add(".".join(path[: len(key.path)] if key else path))
        if detail["type"] == "extra_forbidden":
            meant = nearest(path) or ""
            self.damaged.update((meant, ".".join((*path[:-1], meant))))
            self.problems.append(Problem(".".join(path), _unknown(path), self._place(path, of_key=True)))
            return
        given = lookup(self.tree, path)
        value = shown(detail["input"] if given is None else given)
        message = refusal(detail, key, value, section=path in sections())
        self.problems.append(Problem(_readable(path), message + ".", self._place(path)))

    def _cross_check(self, config: Config) -> None:
        """Rules between keys. A key that is wrong already, or was meant by a misspelt one, explains nothing more."""
        for finding in cross_checks(config):
            if self.damaged.isdisjoint((finding.path, *finding.others)):
                place = self._place(tuple(finding.path.split(".")))
                self.problems.append(Problem(finding.path, finding.message, place))

    def _place(self, path: Path, *, of_key: bool = False) -> Place:
        """Where the value (or the key) of a path was given."""
        for n in range(len(path), 0, -1):
            origin = self.origins.get(path[:n])
            if origin is not None and origin.kind in ("env", "set", "dev", "profile"):
                return Place(name=origin.where)
            if origin is not None and origin.kind == "file":
                break
        for places in (
            (self.document.key_places, self.document.value_places) if of_key else (self.document.value_places,)
        ):
            for n in range(len(path), 0, -1):
                if path[:n] in places:
                    return places[path[:n]]
        return NOWHERE


def _rename(places: dict[Path, Any], old: Path, new: Path) -> None:
    """Note under the new path what was noted under the old one."""
    for path in [path for path in places if path[: len(old)] == old]:
        places[new + path[len(old) :]] = places.pop(path)


def _remove(tree: dict[str, Any], path: Path) -> None:
    """Take a wrong key out, so that the rest can still be checked. For a list item, the whole list goes."""
    for n in range(len(path), 0, -1):
        parent = lookup(tree, path[: n - 1]) if n > 1 else tree
        if isinstance(parent, dict) and path[n - 1] in parent:
            del parent[path[n - 1]]
            return


def _readable(path: Path) -> str:
    """node.cluster_nodes[1] for an item of a list."""
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path).lstrip(".")


def _unknown(path: Path) -> str:
    close = nearest(path)
    return f'unknown key. Did you mean "{close}"?' if close else "unknown key."
