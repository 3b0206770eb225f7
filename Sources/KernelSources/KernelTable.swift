import CIntrinsics

/// The kernels of this module's instruction set.
func makeKernelTable(_ name: StaticString) -> PacerKernelTable {
  var table = PacerKernelTable()
  table.name = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
  table.lanes = Vector.scalarCount
  table.gemmWidth = GEMMTile.width
  table.gemmRows = GEMMTile.rowCount
  table.streamWidth = StreamTile.width
  table.streamRows = StreamTile.rowCount
  table.filterTiles = FilterTile.tileCount
  table.planePanel = PlaneTile.width
  table.planeBlock = PlaneTile.rowCount
  table.indirectGEMM = { indirectGEMM($0, $1, $2, $3) }
  table.streamedGEMM = { streamedGEMM($0, $1, $2, $3) }
  table.dotRows = DotTile.rowCount
  table.dotGEMM = { dotGEMM($0, $1, $2, $3) }
  table.dotColumns = { dotColumns($0, $1, $2, $3) }
  table.range = { rangeKernel($0, $1, $2, $3) }
  table.quantize = { quantizeKernel($0, $1, $2, $3) }
  table.dequantize = { dequantizeKernel($0, $1, $2, $3) }
  table.bytePool = { bytePool($0, $1, $2, $3) }
  table.winograd = { winograd($0, $1, $2, $3) }
  table.streamedWinograd = { streamedWinograd($0, $1, $2, $3) }
  table.copyPhases = { copyPhases($0, $1, $2, $3) }
  table.planeGEMM = { planeGEMM($0, $1, $2, $3) }
  table.depthwiseNHWC = { depthwiseNHWC($0, $1, $2, $3) }
  table.planeWindow = { planeWindow($0, $1, $2, $3) }
  table.maxPoolNHWC = { maxPoolNHWC($0, $1, $2, $3) }
  table.affineNHWC = { affineNHWC($0, $1, $2, $3) }
  table.affineNCHW = { affineNCHW($0, $1, $2, $3) }
  table.add = { addKernel($0, $1, $2, $3) }
  table.multiply = { multiplyKernel($0, $1, $2, $3) }
  table.binary = { binaryKernel($0, $1, $2, $3) }
  table.unary = { unaryKernel($0, $1, $2, $3) }
  table.activate = { activateKernel($0, $1, $2, $3) }
  table.globalPoolNHWC = { globalPoolNHWC($0, $1, $2, $3) }
  table.globalPoolNCHW = { globalPoolNCHW($0, $1, $2, $3) }
  table.widensDots = widensDots ? 1 : 0
  table.addsSmallDots = addsSmallDots ? 1 : 0
  table.toNHWC = { toNHWC($0, $1, $2, $3) }
  table.toNCHW = { toNCHW($0, $1, $2, $3) }
  table.bytesToNHWC = { bytesToNHWC($0, $1, $2, $3) }
  table.bytesToNCHW = { bytesToNCHW($0, $1, $2, $3) }
  table.averagePoolNHWC = { averagePoolNHWC($0, $1, $2, $3) }
  table.resize = { resizeKernel($0, $1, $2, $3) }
  table.softmax = { softmaxKernel($0, $1, $2, $3) }
  table.reduceRows = { reduceRows($0, $1, $2, $3) }
  table.layerNorm = { layerNormKernel($0, $1, $2, $3) }
  table.dots = { dotsKernel($0, $1, $2, $3) }
  table.peakMultiplyAdd = { peakMultiplyAdd($0, $1, $2, $3) }
  table.peakMultiplyAdds = 10 * Vector.scalarCount
  setPeakDot(&table)
  return table
}
