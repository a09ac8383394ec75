#!/bin/sh
# All it does is in pyralog/cli/container.py.
exec python -m pyralog.cli.container "$@"
