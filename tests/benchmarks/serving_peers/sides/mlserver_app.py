"""MLServer: a custom runtime, one tensor of the Open Inference Protocol for each column."""

from __future__ import annotations

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from scoring import Scorer


class Clicks(MLModel):
    async def load(self) -> bool:
        self.scorer = Scorer()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        columns = {}
        for tensor in payload.inputs:
            codec = StringCodec if tensor.datatype == "BYTES" else NumpyCodec
            columns[tensor.name] = codec.decode_input(tensor)
        # One row a request, as the benchmark sends them.
        row = {name: values if isinstance(values, list) else values[0].tolist() for name, values in columns.items()}
        found = np.array(self.scorer([row]), np.float32)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("predictions", found)])
