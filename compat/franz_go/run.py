"""franz-go and its kadm from the Go module proxy; the cases are in main.go."""

from __future__ import annotations

import sys
from pathlib import Path

from compat.golang import run

if __name__ == "__main__":
    sys.exit(run(Path(__file__).parent, "franz-go"))
