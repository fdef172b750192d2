"""Simple models beside the one of model.py, and which of them is served: `baselines`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipelines.spec.base import Fraction, Frozen

BaselineModel = Literal["constant", "linear", "trees", "tensorflow"]
"""From the simplest on; `tensorflow` is that of model.py."""
Loss = Literal["binary_crossentropy", "mean_squared_error", "mean_absolute_error"]


class Baselines(Frozen):
    enabled: bool = True
    """Without them there is nothing to choose from, and model.py's is the candidate."""
    pin: BaselineModel | None = "tensorflow"
    """The candidate, whatever the others reach. `null`: the simplest that is no worse than the best beyond `tolerance`."""
    when_worse: Literal["report", "refuse"] = "report"
    """What becomes of a candidate that is worse than a simpler model beyond `tolerance`, by the 95 % interval."""
    metric: Loss | None = None
    """What models are compared by. By default the log loss for labels 0 and 1, else the squared error."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """In units of `metric`. One standard error of the difference, by `data.split_key`, is granted on top."""
    max_rows: Annotated[int, Field(ge=1)] = 200_000
    """A baseline learns from so many train rows at most, drawn from all."""
    budget_share: Annotated[Fraction, Field(gt=0)] = 0.1
    """Of `train.budget_minutes`: what the training of all baselines may take."""
