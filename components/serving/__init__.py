"""The inference server: one model of `components.training.export` behind HTTP, raw columns in, predictions out.

    python -m components.serving --model path/to/Format-Serving --name shop --port 8501

    POST /v1/models/shop:predict       {"instances": [{"item_id": "i7", "price": 9.5}]}    as TensorFlow Serving
    POST /v2/models/shop/infer         {"inputs": [{"name": "price", "shape": [1, 1], …}]}  as the Open Inference Protocol
    GET  /v2/health/live, /v2/health/ready

docs/serving.md tells all paths, what a row may look like, and what errors say.
"""
