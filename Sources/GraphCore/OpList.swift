/// Every kind of op that comes with Pacer: what files are read by. One from outside is told to who reads them.
package let allOps: [any Op.Type] = [
  Activation.self, AffineGrid.self, ArgExtreme.self, AveragePool2D.self, BatchNorm.self, Binary.self, Cast.self,
  Compress.self,
  Concat.self, Conv2D.self, ConvInteger.self, ConvTranspose2D.self, ConvTransposeND.self, ConvertFormat.self,
  ConvolutionND.self, Cumulative.self, DepthToSpace.self, DepthwiseBlock.self, DequantizeLinear.self, Det.self,
  Dropout.self, DynamicLinear.self, DynamicQuantizeLinear.self, DynamicRecurrent.self, Einsum.self, Expand.self,
  Fail.self, Gather.self,
  GatherElements.self,
  GatherND.self, GlobalAveragePool.self, GridSample.self, Hardmax.self, If.self, InstanceNorm.self, LayerNorm.self,
  Linear.self, LocalResponseNorm.self, Loop.self, MatMul.self, MatMulInteger.self, MaxPool2D.self, MaxUnpool.self,
  NonMaxSuppression.self, NonZero.self, NumberRange.self, OneHot.self, Pad.self, PoolND.self, QLinearConv.self,
  QLinearMatMul.self, QuantizeLinear.self, Recurrent.self, Reduce.self, Requantize.self, Reshape.self, Resize.self,
  ReverseSequence.self, RoiAlign.self, RoiPool.self, Scan.self, ScatterElements.self, ScatterND.self, ShapeOf.self,
  Slice.self, Softmax.self, Tile.self, TopK.self, Transpose.self, Trilu.self, Unary.self, Unique.self, Where.self,
]
