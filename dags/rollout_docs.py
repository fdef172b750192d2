"""The pages of the rollout DAGs in Airflow's interface, in Markdown."""

from __future__ import annotations

from pipelines.manifest import Manifest
from pipelines.spec import Rollout

APPROVAL_PAGE = """\
Asks whether users may meet a candidate: one run for each rollout, named after it, triggered by the tick that found it waiting.
Answer it under *Required Actions*. Ticks go on meanwhile. Whoever is faster on the command line
(`daybreak rollout approve | abort`) wins; the answer here then ends as skipped.
"""

ACTION_PAGE = """\
Trigger it with an action and a reason; you and the reason become an event, then a tick carries it out.

| action | what happens |
|---|---|
| `pause`, `resume` | HOLD: the split stays as it is, until somebody resumes or `max_hold_hours` are over |
| `abort` | back to the champion, with MLflow and the log down, too |
| `approve` | a candidate that waits for approval may meet users |
| `force`, `force --promote` | the next stage, or the promotion, whatever the statistics say |
"""


def rollout_page(manifest: Manifest, terms: Rollout) -> str:
    stages = ", ".join(f"{share:.0%}" for share in terms.stages)
    name = manifest.pipeline
    ticks = (
        "after a retrain, and when whoever simulates triggers it with `now`: its clock is **simulated**"
        if manifest.simulated
        else f"every {terms.tick_secs:g} s, and after a retrain"
    )
    return f"""\
# Rollouts of {name}

An accepted candidate of `daybreak_{name}` is queued, and meets users little by little: shadow for {terms.shadow_hours:g} h, then
{stages} of all users in each of two arms. Each run of this DAG is one tick: measure, decide, carry out.

- **Ticks**: {ticks}.
- **Approval**: {"asked in `daybreak_" + name + "_approval`" if terms.approval else "not asked for"}.
- **Pause, resume, abort, force**: `daybreak_{name}_rollout_action`, or `daybreak rollout … {name}`.
- **What happens now**: the *Rollouts* page, linked from every tick.

A tick without any rollout renews the split document that gateways follow, and ends.
"""
