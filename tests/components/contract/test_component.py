from __future__ import annotations

import json
from pathlib import Path

from tfx.orchestration.data_types import RuntimeParameter

from components.contract.component import Contract
from tests.components.contract.running import PIPELINE, data


def test_outputs_and_runtime_parameters(tmp_path: Path) -> None:
    day = RuntimeParameter(name="day", ptype=str)
    limit, force = (RuntimeParameter(name=name, ptype=int, default=0) for name in ("rows_limit", "force"))
    made = Contract(pipeline=PIPELINE, data=json.dumps(data(tmp_path)), day=day, rows_limit=limit, force=force)
    assert {name: channel.type.TYPE_NAME for name, channel in made.outputs.items()} == {
        "rows": "RawDay",
        "quarantine": "Quarantine",
        "report": "GateReport",
        "docs": "DataDocs",
    }
    assert made.exec_properties["day"] is day and made.inputs == {}
