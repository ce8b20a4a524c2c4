import Foundation
import Imaging
import Randomness
import Testing

@Suite("Acoustic shadows")
struct EchoShadowTests {
  private static let clip = EchoSimulator(seed: 4).clip(frames: 4, size: (112, 112))

  private static func angle(_ pixel: Int) -> Double {
    let (x, y) = EchoSimulator.position(
      row: pixel / 112, column: pixel % 112, width: 112, spacing: clip.spacing)
    return atan2(x, y)
  }

  @Test("a shadow takes the echoes of its directions and leaves the others and the truth")
  func directions() {
    let shadow = EchoShadow(angle: 0.1, width: 0.2, depth: 1)
    let shown = Self.clip.shadowed([2: shadow])
    #expect(shown.labels == Self.clip.labels && shown.volumes == Self.clip.volumes)
    for frame in [0, 1, 3] { #expect(shown.frames[frame] == Self.clip.frames[frame]) }
    var (hidden, darkened) = (0, 0)
    for pixel in 0..<112 * 112 {
      let (before, after) = (Self.clip.frames[2][pixel], shown.frames[2][pixel])
      let distance = abs(Self.angle(pixel) - 0.1)
      if distance < 0.05 {
        hidden += 1
        // exp(−(1/4)⁴) = 0.996 of the display.
        #expect(after < 0.01)
      } else if distance > 0.35 {
        // exp(−1.75⁴) = 8e−5.
        #expect(abs(after - before) < 1e-3)
      }
      #expect(after <= before)
      darkened += after < before ? 1 : 0
    }
    #expect(hidden > 300 && darkened > hidden)
  }

  @Test("drawn shadows lie over the ventricle, in the frames that may have one")
  func drawn() throws {
    var generator = SeededGenerator(seed: 1)
    var seen: Set<Int> = []
    for _ in 0..<40 {
      let (shown, frames) = Self.clip.shadowed(
        by: EchoShadows(part: 0.5), of: [1, 3], using: &generator)
      seen.formUnion(frames)
      for frame in 0..<4 {
        #expect((shown.frames[frame] != Self.clip.frames[frame]) == frames.contains(frame))
      }
      for frame in frames {
        let lost = zip(shown.frames[frame], Self.clip.frames[frame]).enumerated().filter {
          Self.clip.labels[frame][$0.offset] == 1 && $0.element.0 < $0.element.1
        }
        #expect(!lost.isEmpty)
      }
    }
    #expect(seen == [1, 3])
  }

  @Test("wider shadows hide more of the ventricle, at the same places")
  func widths() throws {
    func lost(_ widths: ClosedRange<Double>) -> Float {
      var generator = SeededGenerator(seed: 2)
      let (shown, frames) = Self.clip.shadowed(
        by: EchoShadows(part: 1, widths: widths), of: [0, 1, 2, 3], using: &generator)
      return frames.reduce(0) { sum, frame in
        zip(shown.frames[frame], Self.clip.frames[frame]).enumerated().reduce(sum) {
          let isInside = Self.clip.labels[frame][$1.offset] == HeartLabel.ventricle.rawValue
          return isInside ? $0 + $1.element.1 - $1.element.0 : $0
        }
      }
    }
    #expect(lost(0.05...0.1) > 0)
    #expect(lost(0.3...0.6) > 1.5 * lost(0.12...0.26))
  }

  @Test("no shadows draw nothing")
  func none() {
    var generator = SeededGenerator(seed: 1)
    var untouched = SeededGenerator(seed: 1)
    let shown = Self.clip.shadowed(by: EchoShadows(), of: [0, 1], using: &generator)
    #expect(shown.frames.isEmpty && shown.clip.frames == Self.clip.frames)
    #expect(generator.next() == untouched.next())
  }
}
