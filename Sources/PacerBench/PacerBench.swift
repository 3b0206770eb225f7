@_exported import BenchCommands
@_exported import BenchModel
@_exported import BenchProtocol
@_exported import BenchReport
@_exported import BenchRunner
@_exported import BenchStatistics
@_exported import BenchWorker
@_exported import Pacer
