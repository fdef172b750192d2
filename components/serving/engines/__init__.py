"""What computes predictions, chosen by where a model is:

load_engine("/models/shop/7")                            # TensorFlow in this process
load_engine("/models/shop/7/assets.extra/litert")        # its transform graph in TensorFlow, the model in LiteRT
load_engine("http://shop-7:8501/v1/models/shop")         # a server that speaks TensorFlow Serving's REST interface
load_engine("http://shop-7:8000/v2/models/shop")         # or the Open Inference Protocol V2
"""
