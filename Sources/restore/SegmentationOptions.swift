public import ArgumentParser
public import Imaging

/// How segmentations are compared.
struct SegmentationOptions: ParsableArguments {
  @Option(
    name: .long,
    help: "Compare label maps: the labels, as in 1,2, or `all` for every one that occurs in a map.")
  var labels: LabelSelection?

  @Option(
    name: .long,
    help: "Distances of an empty mask: infinite, diagonal, or nan (leave out two empty masks).")
  var empty: EmptyMaskRule = .infinite

  @Option(name: .long, help: "Tolerance in mm of the figures by area (NSD, HD95).")
  var nsdTolerance: Double?

  @Option(name: .long, help: "Volumes in ml between classes of lesion size.")
  var lesionSizes: NumberList = NumberList(numbers: Self.usualSizes)

  @Option(name: .long, help: "Write a page with worst cases, best and median of each label.")
  var html: String?

  @Option(
    name: .long,
    help: "Folder of the images under the outlines of --html: NAME, or NAME_0000 (nnU-Net).")
  var images: String?

  /// Whether an option is given that says nothing without label maps.
  var isChanged: Bool {
    empty != .infinite || nsdTolerance != nil || lesionSizes.numbers != Self.usualSizes
      || images != nil
  }

  private static let usualSizes = [0.1, 1, 10]

  func validate() throws {
    if images != nil, html == nil { throw ValidationError("--images belongs to --html") }
    if let nsdTolerance, !(nsdTolerance >= 0 && nsdTolerance.isFinite) {
      throw ValidationError("--nsd-tolerance \(nsdTolerance): a number from 0 on is needed")
    }
    // A class between equal edges could hold no lesion.
    guard zip(lesionSizes.numbers, lesionSizes.numbers.dropFirst()).allSatisfy(<) else {
      throw ValidationError(
        "--lesion-sizes \(lesionSizes.defaultValueDescription): each edge must be above the one before"
      )
    }
  }
}

/// The labels that a comparison looks at.
enum LabelSelection: ExpressibleByArgument, Equatable {
  case all
  case listed([Int])

  init?(argument: String) {
    if argument == "all" {
      self = .all
      return
    }
    let labels = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    let valid = labels.compactMap(\.self).filter { (1...LabelMap.largest).contains($0) }
    guard !valid.isEmpty, valid.count == labels.count, Set(valid).count == valid.count else {
      return nil
    }
    self = .listed(valid)
  }
}

/// Ascending numbers from a list such as `0.1,1,10`; neighbours may be equal.
struct NumberList: ExpressibleByArgument {
  let numbers: [Double]

  init(numbers: [Double]) { self.numbers = numbers }

  init?(argument: String) {
    let found = argument.split(separator: ",", omittingEmptySubsequences: false).map {
      Double($0)
    }
    let numbers = found.compactMap(\.self)
    guard !numbers.isEmpty, numbers.count == found.count,
      zip(numbers, numbers.dropFirst()).allSatisfy(<=)
    else { return nil }
    self.numbers = numbers
  }

  var defaultValueDescription: String { numbers.map { "\($0)" }.joined(separator: ",") }
}

extension EmptyMaskRule: ExpressibleByArgument {}
