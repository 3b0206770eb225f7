import BenchCommands

BenchSuite.main(.standard)
