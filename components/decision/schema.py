"""The JSON schema of the decision record, for whoever reads `decision.json` without Python.

python -m components.decision.schema      # writes docs/schemas/decision.json
"""

from __future__ import annotations

import json

from components.decision.record import DecisionRecord
from pipelines.manifest import write_atomically
from pipelines.settings import REPOSITORY

PUBLISHED = REPOSITORY / "docs" / "schemas" / "decision.json"


def schema_text() -> str:
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **DecisionRecord.model_json_schema()}
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    write_atomically(PUBLISHED, schema_text().encode())
