"""Builds the Cython data plane: one Extension for each .pyx under pyralog/_speedups.

PYRALOG_DEBUG=1     boundscheck, C asserts, line tracing and annotated HTML.
PYRALOG_SANITIZE=1  AddressSanitizer and UndefinedBehaviorSanitizer, with boundscheck (tests.fuzz.sanitized runs it).
PYRALOG_WERROR=1    C compiler warnings are errors (continuous integration).
PYRALOG_EXT=a,b     build only these modules, named by their last path component (development).
"""

import os
import pathlib

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("PYRALOG_DEBUG") == "1"
SANITIZE = os.environ.get("PYRALOG_SANITIZE") == "1"
ONLY = {name for name in os.environ.get("PYRALOG_EXT", "").split(",") if name}

# What Cython's own generated C cannot avoid under -Wextra; everything else must be clean.
GENERATED_NOISE = [
    "-Wno-unused-parameter",
    "-Wno-missing-field-initializers",
    "-Wno-cast-function-type",
    "-Wno-unused-function",
    "-Wno-sign-compare",
]


def compile_args() -> list[str]:
    args = ["-Wall", "-Wextra", *GENERATED_NOISE]
    if DEBUG:
        args += ["-O0", "-g", "-UNDEBUG"]
    elif SANITIZE:
        args += ["-O1", "-g1", "-UNDEBUG"]
    else:
        args += ["-O2", "-g1", "-DNDEBUG"]
    if SANITIZE:
        args += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    if os.environ.get("PYRALOG_WERROR") == "1":
        args.append("-Werror")
    return args


def extensions() -> list[Extension]:
    link_args = ["-fsanitize=address,undefined"] if SANITIZE else []
    found = []
    for source in sorted(pathlib.Path("pyralog/_speedups").rglob("*.pyx")):
        if ONLY and source.stem not in ONLY:
            continue
        name = ".".join(source.with_suffix("").parts)
        found.append(
            Extension(
                name,
                [str(source)],
                extra_compile_args=compile_args(),
                extra_link_args=link_args,
                define_macros=[("_GNU_SOURCE", "1")],
                libraries=["pthread"],
            )
        )
    return found


setup(
    ext_modules=cythonize(
        extensions(),
        annotate=DEBUG,
        nthreads=0 if ONLY else min(4, os.cpu_count() or 1),
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG or SANITIZE,
            "wraparound": False,
            "initializedcheck": DEBUG or SANITIZE,
            "cdivision": True,
            "linetrace": DEBUG,
            "embedsignature": False,
            "warn.unused": False,
        },
    )
)
