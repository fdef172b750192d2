from __future__ import annotations

from tfx.types import channel, standard_artifacts

from components.training.component import Train


def test_declares_inputs_outputs_and_parameters() -> None:
    train = Train(
        examples=channel.Channel(type=standard_artifacts.Examples),
        transform_graph=channel.Channel(type=standard_artifacts.TransformGraph),
        schema=channel.Channel(type=standard_artifacts.Schema),
        pipeline="tiny",
        train="{}",
        label="clicked",
    )
    assert set(train.inputs) == {"examples", "transform_graph", "schema"}
    assert train.outputs["model"].type is standard_artifacts.Model
    assert train.outputs["model_run"].type is standard_artifacts.ModelRun
    assert train.exec_properties == {"pipeline": "tiny", "train": "{}", "label": "clicked", "weight": None}
