// The process of an accelerator driver. Its client starts it, says over standard input which driver it is to be, and takes it along when
// it ends.
import Delegation
import Foundation

guard CommandLine.arguments.count == 1 else {
  FileHandle.standardError.write(Data("pacer-driver: it is started by programs that delegate to it\n".utf8))
  exit(64)
}
exit(DriverService.serve())
