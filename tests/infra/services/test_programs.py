from __future__ import annotations

from pathlib import Path

from infra.services.configuration import GATEWAY_PORT, Configuration
from infra.services.credentials import read_or_generate
from infra.services.programs import programs
from pipelines.manifest import Manifest, write_manifest
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
    assert "--simulated-clock" not in words


def test_the_gateway_of_a_simulated_pipeline_goes_by_its_requests_clock(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, state=tmp_path / "state")
    configuration = Configuration.read(settings, environ={"DAYBREAK_GATEWAY_PORT": "8700"})
    services, _ = read_or_generate(configuration)
    split = settings.state / "serving" / "shop" / "split.json"
    split.parent.mkdir(parents=True)
    split.write_text("{}")
    manifest = Manifest(pipeline="shop", simulated=True, ir="shop.ir.json", ir_digest="0", nodes=())
    write_manifest(manifest, settings.manifests / "shop.json")
    [gateway] = [program for program in programs(configuration, services) if program.name == "gateway"]
    assert gateway.command[-3:] == ("--port", "8700", "--simulated-clock")
    assert Configuration.of_last_up(settings).gateway_port == 8700
