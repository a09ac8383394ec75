"""Size and habits of the code: what is over a limit may only shrink, what is forbidden stays out.

`python tests/test_tidy.py` prints what is over a limit now, in the form of tidy_baseline.txt.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyralog"
BASELINE = Path(__file__).parent / "tidy_baseline.txt"
MAX_MODULE = 400
MAX_FUNCTION = 60
# What is over a limit may end this many lines below its entry before the entry must follow.
SLACK = 25

# Generated from wire/schemas, not written.
GENERATED = {"pyralog/wire/messages.pyi"}

FORBIDDEN = {
    "pickle": r"\bimport\s+(?:c?pickle|marshal|shelve)\b|\bfrom\s+(?:c?pickle|marshal|shelve)\s+import\b",
    "eval and exec": r"(?<![\w.])(?:eval|exec)\s*\(",
    "yaml.load": r"\byaml\.(?:unsafe_|full_)?load(?:_all)?\s*\(",
    "shell=True": r"\bshell\s*=\s*True\b",
    "except Exception: pass": r"except\s+(?:Base)?Exception(?:\s+as\s+\w+)?\s*:\s*(?:#[^\n]*)?\n?\s*pass\b",
}
# Only runtime.TaskScope starts tasks, only runtime makes threads: what it starts, it also ends and reports.
ONLY_IN_RUNTIME = {
    "create_task": r"\b(?:create_task|ensure_future)\s*\(",
    "threads": r"\bthreading\.Thread\s*\(|\bThreadPoolExecutor\s*\(|\bto_thread\s*\(",
}


def sources(*suffixes: str) -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in suffixes and name_of(path) not in GENERATED:
            yield path


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def code_of(path: Path) -> str:
    """The code alone; positions change, lines do not."""
    text = path.read_text(encoding="utf-8")
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())  # noqa: E731
    triple = r'"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\''
    single = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(rf"{triple}|{single}|#[^\n]*", blank, text)


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def cython_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Functions of a .pyx by indentation: from the def to the last line that is deeper."""
    lines = code_of(path).splitlines()
    start = re.compile(r"^(\s*)(?:async\s+)?(?:def|cdef|cpdef)\b(?!\s+class\b)[^=\n]*?\b(\w+)\s*\(")
    for number, line in enumerate(lines):
        match = start.match(line)
        if match is None:
            continue
        head = number
        while head < len(lines) and not lines[head].rstrip().endswith(":"):
            if head > number and (not lines[head].strip() or len(lines[head]) - len(lines[head].lstrip()) == 0):
                break
            head += 1
        if head >= len(lines) or not lines[head].rstrip().endswith(":"):
            continue  # a declaration
        last = head
        for following in range(head + 1, len(lines)):
            text = lines[following]
            if text.strip():
                if len(text) - len(text.lstrip()) <= len(match.group(1)):
                    break
                last = following
        yield match.group(2), last - number + 1


@functools.cache
def too_long() -> dict[str, int]:
    """What is over a limit now: `module` and `module:function`, with its lines."""
    found: dict[str, int] = {}
    for path in sources(".py", ".pyx"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_MODULE:
            found[name_of(path)] = lines
        functions = python_functions(path) if path.suffix == ".py" else cython_functions(path)
        for function, length in functions:
            if length > MAX_FUNCTION:
                key = f"{name_of(path)}:{function}"
                found[key] = max(length, found.get(key, 0))
    return found


def baseline() -> dict[str, int]:
    entries = [line.split() for line in BASELINE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {name: int(lines) for name, lines in (entry for entry in entries if entry)}


def test_what_is_too_long_may_only_shrink() -> None:
    allowed, found = baseline(), too_long()
    grown = {name: lines for name, lines in found.items() if lines > allowed.get(name, 0)}
    assert grown == {}, "split these; the limits are 400 lines a module, 60 a function"


def test_the_baseline_shrinks_with_the_code() -> None:
    allowed, found = baseline(), too_long()
    stale = {name: found.get(name, 0) for name, lines in allowed.items() if found.get(name, 0) < lines - SLACK}
    assert stale == {}, "lower or remove these in tidy_baseline.txt, so that they cannot grow back"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_forbidden(what: str) -> None:
    found = [name_of(path) for path in sources(".py", ".pyx") if re.search(FORBIDDEN[what], code_of(path))]
    assert found == []


@pytest.mark.parametrize("what", ONLY_IN_RUNTIME)
def test_only_runtime_starts_things(what: str) -> None:
    found = [name_of(path) for path in sources(".py", ".pyx") if re.search(ONLY_IN_RUNTIME[what], code_of(path))]
    assert [name for name in found if name != "pyralog/runtime.py"] == []


def test_init_files_are_empty() -> None:
    """Except for that of pyralog.testing, whose names are what users write; it imports nothing by itself."""
    full = [name_of(path) for path in PACKAGE.rglob("__init__.py") if path.read_text(encoding="utf-8").strip()]
    assert full == ["pyralog/testing/__init__.py"]


def test_every_module_opens_with_a_sentence() -> None:
    silent = []
    for path in sources(".py", ".pyx"):
        if path.name == "__init__.py":
            continue
        text = path.read_text(encoding="utf-8")
        opening = re.sub(r"^(?:#[^\n]*\n|\s*\n)*", "", text)
        if not opening.startswith('"""'):
            silent.append(name_of(path))
    assert silent == []


def test_every_cython_module_that_python_sees_has_a_stub() -> None:
    facing = re.compile(r"^(?:async def|def|class|cdef class)\s", re.MULTILINE)
    bare = [path for path in sources(".pyx") if not path.with_suffix(".pyi").exists() and facing.search(code_of(path))]
    assert [name_of(path) for path in bare] == []


def test_cython_habits() -> None:
    """No `include`, no `cpdef` (architecture.md section 5)."""
    habits = re.compile(r"^\s*(?:include\s+|cpdef\b)", re.MULTILINE)
    assert [name_of(path) for path in sources(".pyx", ".pxd") if habits.search(code_of(path))] == []


def test_the_checks_see_what_they_are_for(tmp_path: Path) -> None:
    path = tmp_path / "x.pyx"
    body = "".join(f"    y = {n}  # exec(\n" for n in range(70))
    path.write_text(
        f'"""eval("""\ncdef int f(\n        int a) noexcept nogil:\n{body}\ncdef int g()\n', encoding="utf-8"
    )
    assert list(cython_functions(path)) == [("f", 72)]
    assert not re.search(FORBIDDEN["eval and exec"], code_of(path))
    code_of.cache_clear()
    path.write_text("try:\n    a()\nexcept Exception:\n    pass\n", encoding="utf-8")
    assert re.search(FORBIDDEN["except Exception: pass"], code_of(path))
    code_of.cache_clear()
    path.write_text("loop.create_task(x)\n", encoding="utf-8")
    assert re.search(ONLY_IN_RUNTIME["create_task"], code_of(path))


if __name__ == "__main__":
    for name, lines in sorted(too_long().items()):
        print(name, lines)
