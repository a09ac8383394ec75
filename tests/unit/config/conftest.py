"""Shared: write a file and load it, or get the error report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyralog.config.loader import Loaded, load
from pyralog.config.problems import ConfigError


@pytest.fixture
def load_text(tmp_path: Path) -> Callable[..., Loaded]:
    """Load a text as a file of a given name."""

    def load_it(text: str, name: str = "config.yaml", **options: object) -> Loaded:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load(str(path), **options)  # type: ignore[arg-type]

    return load_it


@pytest.fixture
def errors_of(load_text: Callable[..., Loaded]) -> Callable[..., list[str]]:
    """The lines of the error report between heading and advice, stripped."""

    def errors(text: str, name: str = "config.yaml", **options: object) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_text(text, name, **options)
        return [line.strip() for line in str(caught.value).splitlines()[1:-1]]

    return errors
