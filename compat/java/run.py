"""Apache's Java client 4.4.0 from Maven Central: compiles Cases.java against its jar and runs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from compat.cases import arguments
from tests.reference.kafka import install_broker

HERE = Path(__file__).parent
LOG4J = """
rootLogger.level = ERROR
rootLogger.appenderRef.stdout.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.target = SYSTEM_ERR
"""


def compile_cases(name: str = "Cases") -> tuple[str, Path]:
    """The class path and the folder of classes; compiles when the source is newer."""
    jars = install_broker()
    target = HERE / "target"
    target.mkdir(exist_ok=True)
    (target / "log4j2.properties").write_text(LOG4J)
    source, compiled = HERE / f"{name}.java", target / f"{name}.class"
    newest = max(path.stat().st_mtime for path in HERE.glob("*.java"))
    if not compiled.exists() or compiled.stat().st_mtime < newest:
        command = ["javac", "-cp", f"{jars}/*", "-sourcepath", str(HERE), "-d", str(target)]
        command += ["-Xlint:all,-processing,-classfile", str(source)]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return f"{target}:{jars}/*", target


def java_command(name: str, *args: str) -> list[str]:
    """A command line that runs one of the programs of this folder."""
    class_path, target = compile_cases(name)
    config = f"-Dlog4j2.configurationFile={target / 'log4j2.properties'}"
    return ["java", "-Xmx512m", "-XX:+UseSerialGC", config, "-cp", class_path, name, *args]


def main() -> int:
    options = arguments("java")
    if shutil.which("javac") is None:
        sys.exit("a JDK (javac) is needed for the Java client")
    args = (options.bootstrap, str(options.smoke), str(options.timeout), *options.only)
    return subprocess.run(java_command("Cases", *args), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
