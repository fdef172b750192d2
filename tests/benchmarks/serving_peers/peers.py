"""The peers: what each needs, how it is started, and how it wants a row. Each as its own quick start says, with its defaults.

peer = PEERS[0]
peer.prepare(setup), peer.command(setup), peer.body(row)
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIDES = Path(__file__).parent / "sides"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Setup:
    bin: Path
    """Of the peer's environment."""
    folder: Path
    """The peer's own."""
    port: int
    environment: Mapping[str, str]


def _nothing(setup: Setup) -> None:
    pass


@dataclass(frozen=True)
class Peer:
    name: str
    requirements: Sequence[str]
    """The first is the peer's own."""
    command: Callable[[Setup], Sequence[str]]
    path: str
    body: Callable[[Row], Any]
    how: str
    """It is set up."""
    prepare: Callable[[Setup], None] = _nothing

    @property
    def distribution(self) -> str:
        return self.requirements[0].split("[")[0]


def _instances(row: Row) -> Any:
    return {"instances": [row]}


def _records(row: Row) -> Any:
    return {"dataframe_records": [row]}


def _tensors(row: Row) -> Any:
    return {"inputs": [_tensor(name, value) for name, value in row.items()]}


def _tensor(name: str, value: Any) -> Mapping[str, Any]:
    data = value if isinstance(value, list) else [value]
    kind = {str: "BYTES", int: "INT64", float: "FP32"}[type(data[0])]
    return {"name": name, "shape": [1, len(data)], "datatype": kind, "data": data}


def _save_for_mlflow(setup: Setup) -> None:
    command = [str(setup.bin / "python"), str(SIDES / "mlflow_app.py"), str(setup.folder / "model")]
    subprocess.run(command, check=True, capture_output=True, env=dict(setup.environment))


def _write_for_mlserver(setup: Setup) -> None:
    ports = {"http_port": setup.port, "grpc_port": 0, "metrics_port": 0, "host": "127.0.0.1"}
    (setup.folder / "settings.json").write_text(json.dumps(ports))
    model = {"name": "clicks", "implementation": "mlserver_app.Clicks"}
    (setup.folder / "model-settings.json").write_text(json.dumps(model))


def _serve_mlflow(setup: Setup) -> list[str]:
    options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(setup.port)]
    return [str(setup.bin / "mlflow"), "models", "serve", "--model-uri", str(setup.folder / "model"), *options]


def _serve_bentoml(setup: Setup) -> list[str]:
    options = ["--host", "127.0.0.1", "--port", str(setup.port), "--working-dir", str(SIDES)]
    return [str(setup.bin / "bentoml"), "serve", "bentoml_app:Clicks", *options]


PEERS = (
    Peer(
        "mlflow models serve",
        ("mlflow",),
        _serve_mlflow,
        "/invocations",
        _records,
        "a pyfunc model, `--env-manager local`, rows as `dataframe_records`",
        _save_for_mlflow,
    ),
    Peer(
        "MLServer",
        ("mlserver", "uvloop<0.22"),  # with a later one its workers find no event loop (1.7.1)
        lambda setup: [str(setup.bin / "mlserver"), "start", str(setup.folder)],
        "/v2/models/clicks/infer",
        _tensors,
        "a custom runtime, one parallel worker, a tensor for each column",
        _write_for_mlserver,
    ),
    Peer(
        "BentoML",
        ("bentoml",),
        _serve_bentoml,
        "/predict",
        _instances,
        "a service of one API, one worker, without batching",
    ),
    Peer(
        "LitServe",
        ("litserve",),
        lambda setup: [str(setup.bin / "python"), str(SIDES / "litserve_app.py"), str(setup.port)],
        "/predict",
        _instances,
        "a LitAPI on the CPU, one worker, batches of one",
    ),
    Peer(
        "Ray Serve",
        ("ray[serve]",),
        lambda setup: [str(setup.bin / "python"), str(SIDES / "ray_app.py"), str(setup.port), str(setup.folder)],
        "/",
        _instances,
        "a deployment of one replica behind its HTTP proxy, Ray started for it on this machine",
    ),
)
