"""`python -m pyralog.cli.admin` is `pyralog-admin`."""

from pyralog.cli.admin.main import main

main(prog_name="pyralog-admin")
