import CIntrinsics

/// The kernels of this module's instruction set.
func makeKernelTable(_ name: StaticString) -> PacerKernelTable {
  var table = PacerKernelTable()
  table.name = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
  table.lanes = Vector.scalarCount
  table.gemmWidth = GEMMTile.width
  table.gemmRows = GEMMTile.rowCount
  table.planePanel = PlaneTile.width
  table.planeBlock = PlaneTile.rowCount
  table.indirectGEMM = { indirectGEMM($0, $1, $2) }
  table.copyPhases = { copyPhases($0, $1, $2) }
  table.planeGEMM = { planeGEMM($0, $1, $2) }
  table.depthwiseNHWC = { depthwiseNHWC($0, $1, $2) }
  table.planeWindow = { planeWindow($0, $1, $2) }
  table.maxPoolNHWC = { maxPoolNHWC($0, $1, $2) }
  table.affineNHWC = { affineNHWC($0, $1, $2) }
  table.affineNCHW = { affineNCHW($0, $1, $2) }
  table.add = { addKernel($0, $1, $2) }
  table.clamp = { clampKernel($0, $1, $2) }
  table.globalPoolNHWC = { globalPoolNHWC($0, $1, $2) }
  table.globalPoolNCHW = { globalPoolNCHW($0, $1, $2) }
  table.toNHWC = { toNHWC($0, $1, $2) }
  table.toNCHW = { toNCHW($0, $1, $2) }
  table.peakMultiplyAdd = { peakMultiplyAdd($0, $1, $2) }
  table.peakMultiplyAdds = 10 * Vector.scalarCount
  setPeakDot(&table)
  return table
}
