/// What the pickle of a state dict may hold. Containers are numbers of a table: a file that nests them a million times, or puts
/// one into itself, is walked through nowhere, freeing included.
enum PickledValue: Equatable {
  case none
  case bool(Bool)
  case int(Int)
  case text(String)
  case global(PickledGlobal)
  case tuple(Int)
  case dictionary(Int)
  case storage(Int)
  case tensor(Int)
  /// A list, whose elements nothing asks for.
  case list
  /// What no tensor is made of: floats, bytes, integers of more than 64 bits.
  case other
}

/// The names that a state dict's pickle may have; there is nothing behind them but what is done with their arguments here.
enum PickledGlobal: Equatable {
  case orderedDictionary
  /// A tensor of a storage: with the storage's type, or with one of its own.
  case tensor, typedTensor
  case parameter, parameterWithState
  /// A storage class; nil for bytes without a type.
  case storage(FileElement?)
  case type(FileElement)

  /// Nil for every other name.
  init?(module: String, name: String) {
    switch (module, name) {
    case ("collections", "OrderedDict"): self = .orderedDictionary
    case ("torch._utils", "_rebuild_tensor_v2"): self = .tensor
    case ("torch._utils", "_rebuild_tensor_v3"): self = .typedTensor
    case ("torch._utils", "_rebuild_parameter"): self = .parameter
    case ("torch._utils", "_rebuild_parameter_with_state"): self = .parameterWithState
    case ("torch.storage", "UntypedStorage"), ("torch.storage", "_UntypedStorage"), ("torch", "UntypedStorage"):
      self = .storage(nil)
    case ("torch", _):
      if let type = FileElement(torchStorage: name) {
        self = .storage(type)
      } else if let type = FileElement(torch: name) {
        self = .type(type)
      } else {
        return nil
      }
    default: return nil
    }
  }
}

/// A storage as a pickle names it.
struct PickledStorage: Equatable {
  /// Nil for bytes without a type.
  var type: FileElement?
  /// Of the entry that holds its bytes.
  var key: String
  /// In elements; in bytes where there is no type.
  var count: Int
}

/// A tensor as a pickle describes it: numbers that nobody has looked at yet.
struct PickledTensor: Equatable {
  var storage: PickledStorage
  var type: FileElement?
  /// In elements, as the strides are.
  var offset: Int
  var shape: [Int]
  var strides: [Int]
  /// Whether it stands for the negative or conjugate of what is stored.
  var isTransformed: Bool
}

/// A pickle that has been read.
struct Pickle {
  var root: PickledValue
  /// Pairs in order; of two with one key the later counts.
  var dictionaries: [[(key: PickledValue, value: PickledValue)]]
  var tensors: [PickledTensor]
}
