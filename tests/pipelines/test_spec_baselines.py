from __future__ import annotations

from typing import Any

import pytest

from pipelines.assemble import assemble
from pipelines.errors import SpecError
from pipelines.settings import Settings
from pipelines.spec import Spec, load_spec, parse_spec


def nodes_of(**baselines: Any) -> dict[str, Any]:
    spec = Spec.model_validate(load_spec("shop").model_dump() | {"baselines": baselines})
    pipeline, _ = assemble(spec, Settings.from_environment())
    return {component.id: component for component in pipeline.components}


def test_what_is_chosen_is_evaluated_and_registered() -> None:
    nodes = nodes_of()
    assert nodes["evaluate"].inputs["model"] is nodes["choose"].outputs["chosen"]
    assert nodes["register"].inputs["model"] is nodes["choose"].outputs["chosen"]
    assert nodes["choose"].inputs["learned"] is nodes["baselines"].outputs["baselines"]


def test_switched_off_there_are_no_such_nodes() -> None:
    nodes = nodes_of(enabled=False)
    assert not {"baselines", "choose"} & nodes.keys()
    assert nodes["evaluate"].inputs["model"] is nodes["train"].outputs["model"]


def test_a_pin_leaves_what_is_learned_in_the_cache() -> None:
    pinned, free = nodes_of(), nodes_of(pin=None, tolerance=0.01, when_worse="refuse")
    assert pinned["baselines"].exec_properties == free["baselines"].exec_properties
    assert pinned["choose"].exec_properties != free["choose"].exec_properties


def test_without_a_section_the_own_model_is_served() -> None:
    assert load_spec("shop").baselines.pin == load_spec("taxi").baselines.pin == "tensorflow"


@pytest.mark.parametrize("wrong", ["pin: forest", "tolerance: -1", "metric: auc", "budget_share: 0"])
def test_a_wrong_setting_is_named(wrong: str) -> None:
    with pytest.raises(SpecError, match=f"baselines.{wrong.partition(':')[0]}"):
        parse_spec(f"name: x\nbaselines: {{{wrong}}}")
