/// NNAPI's operations, by the numbers of `NeuralNetworks.h` (API level 30): 0 to 101.
public enum OperationCode: Int32, NamedNumber {
  case add = 0, averagePool2d, concatenation, conv2d, depthwiseConv2d, depthToSpace
  case dequantize, embeddingLookup, floor, fullyConnected, hashtableLookup, l2Normalization
  case l2Pool2d, localResponseNormalization, logistic, lshProjection, lstm, maxPool2d
  case mul, relu, relu1, relu6, reshape, resizeBilinear
  case rnn, softmax, spaceToDepth, svdf, tanh, batchToSpaceNd
  case div, mean, pad, spaceToBatchNd, squeeze, stridedSlice
  case sub, transpose, abs, argmax, argmin, axisAlignedBboxTransform
  case bidirectionalSequenceLstm, bidirectionalSequenceRnn, boxWithNmsLimit, cast, channelShuffle,
    detectionPostprocessing
  case equal, exp, expandDims, gather, generateProposals, greater
  case greaterEqual, groupedConv2d, heatmapMaxKeypoint, instanceNormalization, less, lessEqual
  case log, logicalAnd, logicalNot, logicalOr, logSoftmax, maximum
  case minimum, neg, notEqual, padV2, pow, prelu
  case quantize, quantized16bitLstm, randomMultinomial, reduceAll, reduceAny, reduceMax
  case reduceMin, reduceProd, reduceSum, roiAlign, roiPooling, rsqrt
  case select, sin, slice, split, sqrt, tile
  case topkV2, transposeConv2d, unidirectionalSequenceLstm, unidirectionalSequenceRnn, resizeNearestNeighbor,
    quantizedLstm
  case `if`, `while`, elu, hardSwish, fill, rank

  public static let names = [
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE",
    "EMBEDDING_LOOKUP", "FLOOR", "FULLY_CONNECTED", "HASHTABLE_LOOKUP", "L2_NORMALIZATION", "L2_POOL_2D",
    "LOCAL_RESPONSE_NORMALIZATION", "LOGISTIC", "LSH_PROJECTION", "LSTM", "MAX_POOL_2D", "MUL", "RELU", "RELU1",
    "RELU6", "RESHAPE", "RESIZE_BILINEAR", "RNN", "SOFTMAX", "SPACE_TO_DEPTH", "SVDF", "TANH", "BATCH_TO_SPACE_ND",
    "DIV", "MEAN", "PAD", "SPACE_TO_BATCH_ND", "SQUEEZE", "STRIDED_SLICE", "SUB", "TRANSPOSE", "ABS", "ARGMAX",
    "ARGMIN", "AXIS_ALIGNED_BBOX_TRANSFORM", "BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN",
    "BOX_WITH_NMS_LIMIT", "CAST", "CHANNEL_SHUFFLE", "DETECTION_POSTPROCESSING", "EQUAL", "EXP", "EXPAND_DIMS",
    "GATHER", "GENERATE_PROPOSALS", "GREATER", "GREATER_EQUAL", "GROUPED_CONV_2D", "HEATMAP_MAX_KEYPOINT",
    "INSTANCE_NORMALIZATION", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR",
    "LOG_SOFTMAX", "MAXIMUM", "MINIMUM", "NEG", "NOT_EQUAL", "PAD_V2", "POW", "PRELU", "QUANTIZE",
    "QUANTIZED_16BIT_LSTM", "RANDOM_MULTINOMIAL", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN",
    "REDUCE_PROD", "REDUCE_SUM", "ROI_ALIGN", "ROI_POOLING", "RSQRT", "SELECT", "SIN", "SLICE", "SPLIT", "SQRT",
    "TILE", "TOPK_V2", "TRANSPOSE_CONV_2D", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN",
    "RESIZE_NEAREST_NEIGHBOR", "QUANTIZED_LSTM", "IF", "WHILE", "ELU", "HARD_SWISH", "FILL", "RANK",
  ]
}
