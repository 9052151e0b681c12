"""``triaged train payload``: the member over payload bytes, from values to an ONNX graph, and what it is worth."""
