"""Where this installation keeps things. One place, overridden by the environment.

from pipelines.settings import Settings

settings = Settings.from_environment()
settings.manifests / "shop.json"
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.errors import SpecError

ARTIFACTS_VARIABLE = "DAYBREAK_ARTIFACTS"
GATEWAY_PORT = 8600
REPOSITORY = Path(__file__).resolve().parent.parent
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


@dataclass(frozen=True)
class Settings:
    """`home` holds the code, `state` everything that is written (`DAYBREAK_HOME`, `DAYBREAK_STATE`)."""

    home: Path
    state: Path
    artifacts_uri: str = ""
    """Where artifacts are kept for other machines, such as `s3://bucket/daybreak` (`DAYBREAK_ARTIFACTS`). Empty: nowhere."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        environ = os.environ if environ is None else environ
        home = Path(environ.get("DAYBREAK_HOME") or REPOSITORY).resolve()
        state = Path(environ.get("DAYBREAK_STATE") or home / ".daybreak").resolve()
        return cls(home=home, state=state, artifacts_uri=environ.get(ARTIFACTS_VARIABLE, ""))

    @property
    def manifests(self) -> Path:
        return self.state / "manifests"

    @property
    def artifacts(self) -> Path:
        """On this machine; copies, where `artifacts_uri` is set."""
        return self.state / "artifacts"

    @property
    def data(self) -> Path:
        return self.state / "data"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def temporary(self) -> Path:
        """A folder for each node while it runs, and the services' own; nothing is left in the system's."""
        return self.state / "tmp"

    @property
    def runs(self) -> Path:
        """Per retrain: decision record, tracking outbox, training checkpoints."""
        return self.state / "runs"

    @property
    def services_file(self) -> Path:
        """Ports, URLs and generated credentials of the local services, mode 0600, written by `daybreak up`."""
        return self.state / "services.json"

    def python(self, environment: str) -> Path:
        """The interpreter of a locked environment: `orchestrator`, `ml` or `services`."""
        return self.home / ".venvs" / environment / "bin" / "python"

    @cached_property
    def services(self) -> Mapping[str, Any]:
        """The running services as `daybreak up` wrote them; empty when they never ran."""
        try:
            services: dict[str, Any] = json.loads(self.services_file.read_text())
        except FileNotFoundError:
            return {}
        return services

    @property
    def gateway_url(self) -> str:
        """Where people reach the gateway: `DAYBREAK_GATEWAY_URL`, else on this machine, at `DAYBREAK_GATEWAY_PORT`."""
        known = os.environ.get("DAYBREAK_GATEWAY_URL") or self.services.get("gateway", {}).get("url")
        port = os.environ.get("DAYBREAK_GATEWAY_PORT") or GATEWAY_PORT
        return (known or f"http://127.0.0.1:{port}").rstrip("/")

    def expand(self, text: str) -> str:
        """Replaces `${NAME}` and `${NAME:-default}` from the environment.

        `DAYBREAK_HOME`, `DAYBREAK_STATE` and `DAYBREAK_DATA`, the folder or URI of the raw days, always exist.
        """
        known = {"DAYBREAK_HOME": str(self.home), "DAYBREAK_STATE": str(self.state), "DAYBREAK_DATA": str(self.data)}

        def value(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            found = os.environ.get(name) or known.get(name) or default
            if found is None:
                raise SpecError(
                    f"`{text}` needs the environment variable {name}. Received: {name} is not set",
                    fix=f"export {name}=…, or give a default in the spec: ${{{name}:-value}}",
                )
            return found

        return _VARIABLE.sub(value, text)
