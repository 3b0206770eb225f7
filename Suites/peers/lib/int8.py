"""What engines that read ONNX run as int8: Pacer's model, quantised statically as QDQ by ONNX Runtime's own tool."""
import os

from pacer_worker import apart, artefact, digest


def _quantize(onnx, feed, path):
    import onnxruntime
    from onnxruntime.quantization import (
        CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static)

    class Samples(CalibrationDataReader):
        def __init__(self):
            self.left = [feed]

        def get_next(self):
            return self.left.pop() if self.left else None

    # Batch norms are folded first, as the tool asks for.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = path + ".folded.onnx"
    onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    try:
        quantize_static(
            options.optimized_model_filepath, path, Samples(), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax)
    finally:
        os.remove(options.optimized_model_filepath)


def quantized(onnx, feed, version):
    """
    The model with uint8 activations, ranges from smallest to largest value on the inputs, and int8 weights with a scale for each
    channel: made once for the same model and inputs.
    """
    # What quantises counts too.
    return artefact(onnx, f"int8-{digest(feed, __file__)}", version, ".onnx",
                    lambda path: apart(_quantize, onnx, feed, path))
