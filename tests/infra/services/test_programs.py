from __future__ import annotations

from pathlib import Path

from infra.services.configuration import Configuration
from infra.services.credentials import read_or_generate
from infra.services.programs import GATEWAY_PORT, programs
from pipelines.settings import Settings


def test_a_gateway_runs_where_a_split_document_exists(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, state=tmp_path / "state")
    configuration = Configuration.read(settings, environ={})
    services, _ = read_or_generate(configuration)
    assert "gateway" not in [program.name for program in programs(configuration, services)]
    for name in ("toy", "shop"):
        split = settings.state / "serving" / name / "split.json"
        split.parent.mkdir(parents=True)
        split.write_text("{}")
    names = [program.name for program in programs(configuration, services)]
    assert names.count("gateway") == 1
    [gateway] = [program for program in programs(configuration, services) if program.name == "gateway"]
    words = list(gateway.command)
    assert words[1:3] == ["-m", "components.gateway"]
    assert words[words.index("--split") + 1].endswith("serving/shop/split.json")
    assert words[words.index("--log") + 1] == str(settings.state / "exposures")
    assert words[words.index("--port") + 1] == str(GATEWAY_PORT)
