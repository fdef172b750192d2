"""A request for a list: candidates scored as if each stood at the top, and the list drawn from the scores.

request = read_request(body)
rows = request.rows(served, split, policy)          # one for each candidate
drawn = draw(scores, policy, request.count, generator)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from components.assignment.split import PolicyTerms
from components.gateway.lineup import Served
from components.inference.choices import Drawn, draw_list, log_odds
from components.serving.engine import InputError, Predictions
from pipelines.errors import bounded

CANDIDATES = 1000


class ListRequest(Struct, forbid_unknown_fields=True):  # type: ignore[call-arg]
    context: dict[str, Any]
    """Columns that all rows share."""
    candidates: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=CANDIDATES)]
    count: Annotated[int, Meta(ge=1, le=CANDIDATES)] = 10

    def rows(self, served: Served, policy: PolicyTerms) -> list[Struct]:
        """Raises `msgspec.ValidationError`, which names the field."""
        # What is logged may hold more than this model reads: another arm's does, or tomorrow's.
        top = {policy.position: 0} if policy.position in served.names else {}
        shared = {name: value for name, value in self.context.items() if name in served.names}
        rows = [
            shared | {name: value for name, value in candidate.items() if name in served.names} | top
            for candidate in self.candidates
        ]
        found: list[Struct] = msgspec.convert(rows, list[served.row])  # type: ignore[name-defined]
        return found

    def items(self, policy: PolicyTerms) -> list[str]:
        """Names of the candidates. Raises `InputError` unless there is one for each, and each is another."""
        found = [candidate.get(policy.item) for candidate in self.candidates]
        if wrong := [item for item in found if type(item) not in (str, int)]:
            raise InputError(
                f"every candidate must have a text or a whole number as `{policy.item}`. Received: {str(wrong[0])[:40]}"
            )
        names = list(map(str, found))
        if len(set(names)) < len(names):
            twice = bounded(sorted({name[:40] for name in names if names.count(name) > 1}))
            raise InputError(f"every candidate must have another `{policy.item}`. Received twice: {twice}")
        return names


_read = msgspec.json.Decoder(ListRequest).decode


def read_request(body: bytes) -> ListRequest:
    """Raises `msgspec.MsgspecError`, which names the field."""
    return _read(body)


def draw(predictions: Predictions, policy: PolicyTerms, count: int, generator: np.random.Generator) -> Drawn:
    """As the business gate weighs them: of probabilities the log-odds."""
    scores = predictions[:, 0].astype(np.float64)
    if policy.score == "probability":
        scores = log_odds(scores)
    return draw_list(scores, count=count, temperature=policy.temperature, epsilon=policy.epsilon, draw=generator)


def reorder(values: Sequence[Any], drawn: Drawn) -> list[Any]:
    return [values[index] for index in drawn.order.tolist()]
