import Foundation

/// The symmetric colour scale of differences: blue below, white at, red above zero.
package struct DifferenceScale: Equatable {
  /// The difference that has the strongest colour, in units of the image, > 0.
  package let limit: Double

  package init(limit: Double) {
    precondition(limit > 0 && limit.isFinite, "DifferenceScale: limit \(limit)")
    self.limit = limit
  }

  /// The colours at −1, −½, 0, ½ and 1 of the limit.
  ///
  /// Lightness falls evenly from the middle, and blue and red stay apart for the common kinds of
  /// colour blindness.
  private static let stops = [
    PictureColour(8, 35, 105), PictureColour(72, 133, 216), .white, PictureColour(222, 93, 66),
    PictureColour(112, 8, 26),
  ]

  /// The colour of a difference; NaN is white.
  package func colour(of difference: Double) -> PictureColour {
    guard !difference.isNaN else { return .white }
    let position = (min(max(difference / limit, -1), 1) + 1) * 2
    let lower = min(Int(position), 3)
    let part = position - Double(lower)
    let (a, b) = (Self.stops[lower], Self.stops[lower + 1])
    func mix(_ from: UInt8, _ to: UInt8) -> UInt8 {
      UInt8((Double(from) + (Double(to) - Double(from)) * part).rounded())
    }
    return PictureColour(mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue))
  }

  /// The colours in 127 steps on either side of white, from the strongest blue to the strongest red.
  package static let palette: [PNGImage.PaletteEntry] = {
    let scale = DifferenceScale(limit: 127)
    return (-127...127).map { step in
      let colour = scale.colour(of: Double(step))
      return PNGImage.PaletteEntry(red: colour.red, green: colour.green, blue: colour.blue)
    }
  }()

  /// The place in ``palette`` of the colour that is nearest to a difference's; NaN is white.
  package func index(of difference: Double) -> UInt16 {
    guard !difference.isNaN else { return 127 }
    return UInt16((min(max(difference / limit, -1), 1) * 127).rounded() + 127)
  }

  /// The least of the numbers 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is not below a value.
  ///
  /// - Parameter value: A finite value > 0.
  /// - Returns: A number that reads well on a scale.
  package static func roundedUp(_ value: Double) -> Double {
    let magnitude = pow(10, log10(value).rounded(.down))
    let steps = [1, 1.5, 2, 3, 4, 5, 6, 8, 10]
    // A hair of tolerance, so that 0.3 / 0.1 does not become 4.
    return (steps.first { $0 * magnitude >= value * (1 - 1e-9) } ?? 10) * magnitude
  }
}

/// A number as it stands on a scale: about three significant digits, no idle zeros.
package func scaleLabel(_ value: Double) -> String {
  guard value != 0, value.isFinite else { return value == 0 ? "0" : "\(value)" }
  let magnitude = Int(log10(abs(value)).rounded(.down))
  guard (-4...6).contains(magnitude) else {
    let mantissa = ImagingError.decimal(value / pow(10, Double(magnitude)), digits: 1)
    return "\(mantissa)e\(magnitude)"
  }
  let text = ImagingError.decimal(value, digits: max(0, 2 - magnitude))
  guard text.contains(".") else { return text }
  let trimmed = text.reversed().drop { $0 == "0" }
  return String((trimmed.first == "." ? trimmed.dropFirst() : trimmed).reversed())
}
