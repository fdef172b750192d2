"""`compress`: smaller models of the trained one, and which loss of quality buys which gain."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.spec.base import Fraction, Frozen, Positive

Variant = Literal["float16", "int8", "clustered", "pruned", "litert_dynamic", "litert_int8"]
LossMetric = Literal["auc", "binary_crossentropy", "calibration", "mean_squared_error", "mean_absolute_error"]
Gain = Literal["bytes", "gzip_bytes", "latency_p50", "latency_p99", "throughput"]
Loss = Annotated[float, Field(ge=0)]

LITERT: tuple[Variant, ...] = ("litert_dynamic", "litert_int8")


class Compress(Frozen):
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)]
    max_loss: Annotated[dict[LossMetric, Loss], Field(min_length=1)]
    """How much worse than full precision a variant may be overall, in units of the metric; of `calibration`, in distance
    from 1."""
    max_slice_loss: dict[LossMetric, Loss] = {}
    """The same for each slice of `evaluate.slices` that has `min_slice_rows`."""
    min_slice_rows: Annotated[int, Field(ge=1)] = 500
    prefer: Gain = "bytes"
    """Of the variants within the loss, the best of this; latencies are those of single rows."""
    min_gain: Fraction = 0.05
    """Share of full precision's bytes or latency that a variant must save, or of its throughput that it must add."""
    clusters: Annotated[int, Field(ge=2, le=256)] = 16
    """Different values of each weight of `clustered`."""
    pruned_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of each weight of `pruned` that is zero."""
    fine_tune_epochs: Annotated[int, Field(ge=1)] = 1
    """Over the train split, for `pruned`."""
    fine_tune_rate: Positive = 0.1
    """Learning rate of fine-tuning, as a multiple of the optimizer's."""
    representative_rows: Annotated[int, Field(ge=1)] = 500
    """Rows of the train split from which `litert_int8` learns the range of each activation."""

    @model_validator(mode="after")
    def _variants_are_whole(self) -> Self:
        if len(set(self.variants)) < len(self.variants):
            raise ValueError(f"`variants` must name each variant once. Received: {', '.join(self.variants)}")
        if set(self.variants) & set(LITERT) and "int8" not in self.variants:
            raise ValueError(
                "a LiteRT variant is also served as the SavedModel `int8`, where no LiteRT runs, so that is judged too; "
                "add `int8` to `variants`"
            )
        return self
