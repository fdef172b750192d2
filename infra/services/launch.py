"""Starts one service: ends what its last try left behind, then becomes it. Standard library only.

    python -I -S infra/services/launch.py <state>/programs/scheduler.json DIGEST

The file holds `name`, `command` and `environment`; it has mode 0600, so that credentials are neither in the process
list nor in supervisord's configuration. DIGEST is the file's, so that a changed environment is a changed command.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

GRACE_SECS = 5.0


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from infra.services import leftovers

    program = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    name, command = program["name"], program["command"]
    environment = {**os.environ, **program["environment"], leftovers.SERVICE_VARIABLE: name}
    left = leftovers.tagged(environment[leftovers.INSTANCE_VARIABLE], service=name)
    if left:
        print(f"ending {len(left)} processes that the last {name} left behind: {sorted(left)}", flush=True)
        leftovers.end(left, grace_secs=GRACE_SECS)
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main()
