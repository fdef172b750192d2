"""`<state>/services.json`, mode 0600: generated once, kept over restarts, read by nodes and DAGs as `Settings.services`.

services, created = read_or_generate(configuration)
services.database_url("airflow")
"""

from __future__ import annotations

import base64
import json
import secrets
import urllib.parse
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infra.services.configuration import POSTGRES_URL_VARIABLE, Configuration
from pipelines.errors import ResourceError, SpecError
from pipelines.manifest import write_atomically
from pipelines.settings import Settings

DATABASES = ("airflow", "mlflow", "mlmd", "daybreak")
POSTGRES_PORT = 5432
"""Names the socket file; nothing listens on TCP."""
DATABASE_USER = "daybreak"
AIRFLOW_USER = "admin"


@dataclass(frozen=True)
class Database:
    host: str
    """A host name, or the folder of the Unix socket."""
    port: int
    user: str
    password: str
    names: dict[str, str]
    maintenance: str = "postgres"
    """A database that exists already."""

    def url(self, name: str, *, driver: str = "postgresql") -> str:
        """SQLAlchemy URL of one of `DATABASES`."""
        user, password = urllib.parse.quote(self.user, safe=""), urllib.parse.quote(self.password, safe="")
        if self.host.startswith("/"):
            host = urllib.parse.quote(self.host, safe="/")
            return f"{driver}://{user}:{password}@/{self.names[name]}?host={host}&port={self.port}"
        return f"{driver}://{user}:{password}@{self.host}:{self.port}/{self.names[name]}"


@dataclass(frozen=True)
class Secrets:
    airflow_password: str = field(default_factory=lambda: secrets.token_urlsafe(15))
    jwt: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    api: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    fernet: str = field(default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    postgres_password: str = field(default_factory=lambda: secrets.token_urlsafe(24))


@dataclass(frozen=True)
class Services:
    """Everything a client needs to know, and the secrets that must survive a restart."""

    database: Database
    secrets: Secrets


def read_or_generate(configuration: Configuration) -> tuple[Services, bool]:
    """The services as configured, and whether their secrets were generated just now. Writes the file."""
    path = configuration.settings.services_file
    known = _read(path).get("secrets", {})
    secrets_ = _secrets(known)
    services = Services(database=_database(configuration, secrets_), secrets=secrets_)
    content = json.dumps(_document(configuration, services), indent=1).encode() + b"\n"
    if not path.exists() or path.read_bytes() != content or path.stat().st_mode & 0o077:
        write_atomically(path, content, mode=0o600)
    return services, not known


def read_services(settings: Settings) -> Services:
    """As the last `daybreak up` left them. Raises `ResourceError` when there was none."""
    found = _read(settings.services_file)
    if not found:
        raise ResourceError(
            f"nothing was ever started here. Received: no {settings.services_file}", fix="run `daybreak up`"
        )
    return Services(database=Database(**found["database"]), secrets=_secrets(found["secrets"]))


def _secrets(known: dict[str, str]) -> Secrets:
    """Those that are missing, of an older release for example, are generated."""
    return Secrets(**{name: value for name, value in known.items() if name in Secrets.__dataclass_fields__})


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SpecError(
            f"not JSON: {error}", place=str(path), fix=f"restore it, or start over: `daybreak down`, `rm {path}`"
        ) from error
    return found


def _document(configuration: Configuration, services: Services) -> dict[str, Any]:
    password = services.secrets.airflow_password
    return {
        "database": asdict(services.database),
        "airflow": {
            "url": configuration.airflow_url,
            "port": configuration.airflow_port,
            "user": AIRFLOW_USER,
            "password": password,
        },
        "mlflow": {"url": configuration.mlflow_url, "port": configuration.mlflow_port},
        "gateway": {"url": configuration.gateway_url, "port": configuration.gateway_port},
        "worker": {"socket": str(configuration.worker_socket)},
        "supervisor": {"socket": str(configuration.supervisor_socket)},
        "secrets": asdict(services.secrets),
    }


def _database(configuration: Configuration, kept: Secrets) -> Database:
    names = {name: name for name in DATABASES}
    if configuration.embedded_postgres:
        folder = str(configuration.postgres_socket_folder)
        return Database(folder, POSTGRES_PORT, DATABASE_USER, kept.postgres_password, names)
    url = urllib.parse.urlsplit(configuration.postgres_url)
    query = urllib.parse.parse_qs(url.query)
    host = url.hostname or query.get("host", [""])[0]
    if url.scheme not in ("postgresql", "postgres") or not host or not url.username:
        shown = configuration.postgres_url.replace(url.password or "\0", "***")
        raise SpecError(
            f"{POSTGRES_URL_VARIABLE} must look like postgresql://user:password@host:5432/. Received: {shown}",
            fix="correct it, or unset it to use the embedded server",
        )
    return Database(
        host=host,
        port=url.port or POSTGRES_PORT,
        user=urllib.parse.unquote(url.username),
        password=urllib.parse.unquote(url.password or ""),
        names={name: configuration.database_prefix + name for name in DATABASES},
        maintenance=url.path.strip("/") or "postgres",
    )
