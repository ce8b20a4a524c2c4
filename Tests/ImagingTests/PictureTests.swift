import Foundation
import Imaging
import Testing

@Suite("Pictures")
struct PictureTests {
  /// Storage x to the left, y to the back, z to the head, as many scanners store.
  private static let affine = Affine(i: [-1, 0, 0], j: [0, -1, 0], k: [0, 0, 1])
  private let size = GridSize(x: 40, y: 36, z: 30)

  private func volume(_ value: (_ x: Int, _ y: Int, _ z: Int) -> Float) -> Volume {
    var voxels: [Float] = []
    for z in 0..<size.z {
      for y in 0..<size.y {
        for x in 0..<size.x { voxels.append(value(x, y, z)) }
      }
    }
    return Volume(voxels: voxels, geometry: Geometry(size: size, affine: Self.affine))
  }

  private func colour(_ image: PNGImage, _ x: Int, _ y: Int) -> [UInt16] {
    let at = (y * image.width + x) * 3
    return Array(image.samples[at..<at + 3])
  }

  /// The panels of a picture: places that are framed with the colour of the lines, as bounding boxes
  /// of what lies inside, found along one row and one column.
  private func spans(_ image: PNGImage, row y: Int) -> [Range<Int>] {
    let line: [UInt16] = [168, 174, 184]
    let edges = (0..<image.width).filter { colour(image, $0, y) == line }
    return stride(from: 0, to: edges.count - 1, by: 2).map { edges[$0] + 1..<edges[$0 + 1] }
  }

  @Test("the left half of the patient is on the right of the picture, and says so")
  func sides() throws {
    // Bright where the patient's left is: storage x grows to the left.
    let input = volume { x, _, _ in x >= 20 ? 100 : 10 }
    var montage = try Montage(input: input, output: input, planes: [.axial])
    montage.window = 0...100
    let image = montage.image()
    let panels = spans(image, row: 100)
    #expect(panels.count == 3)
    let panel = try #require(panels.first)
    let quarter = panel.count / 4
    #expect(colour(image, panel.lowerBound + quarter, 100)[0] == 26)
    #expect(colour(image, panel.upperBound - quarter, 100)[0] == 255)

    // Without orientation the same picture has no letters: pure panels.
    let unknown = Volume(
      voxels: input.voxels,
      geometry: Geometry(size: size, affine: Self.affine, isOrientationKnown: false))
    var plain = try Montage(input: unknown, output: unknown, planes: [.axial])
    plain.window = 0...100
    let plainImage = plain.image()
    func greys(_ image: PNGImage) -> Set<UInt16> {
      var found: Set<UInt16> = []
      for y in 100..<image.height - 100 {
        for x in panel where abs(x - (panel.lowerBound + panel.count / 2)) > 12 {
          found.insert(colour(image, x, y)[0])
        }
      }
      return found
    }
    #expect(greys(plainImage).isSubset(of: [26, 255]))
    #expect(greys(image) == [0, 26, 255])
  }

  @Test("rows show the planes at their own positions, right side up")
  func planes() throws {
    // Brightness grows towards the head, so coronal and sagittal panels are bright on top.
    let input = volume { _, _, z in Float(z) }
    let montage = try Montage(input: input, output: input)
    #expect(montage.slices.map(\.plane) == [.axial, .coronal, .sagittal])
    let coronal = montage.slice(Montage.Slice(.coronal, at: 5), of: .input)
    #expect(coronal.pixels.first == 29)
    #expect(coronal.pixels.last == 0)
    // Axial slices are counted towards the head, whatever the storage order.
    for index in [0, 7, 29] {
      let slice = montage.slice(Montage.Slice(.axial, at: index), of: .output)
      #expect(slice.pixels.allSatisfy { $0 == Float(index) })
    }
  }

  @Test("slices go through the middle of what is bright")
  func middle() throws {
    // A bright box around x 30, y 10, z 8; in canonical order y counts on, x too, z too.
    let box = volume { x, y, z in abs(x - 30) < 3 && abs(y - 10) < 3 && abs(z - 8) < 3 ? 50 : 0 }
    let montage = try Montage(input: box, output: box)
    #expect(
      montage.slices == [
        Montage.Slice(.axial, at: 8), Montage.Slice(.coronal, at: 10),
        Montage.Slice(.sagittal, at: 30),
      ])
    // The same voxels stored the other way round.
    let mirrored = Volume(
      voxels: box.voxels,
      geometry: Geometry(
        size: size, affine: Affine(i: [1, 0, 0], j: [0, 1, 0], k: [0, 0, -1])))
    #expect(
      try Montage(input: mirrored, output: mirrored).slices == [
        Montage.Slice(.axial, at: 21), Montage.Slice(.coronal, at: 25),
        Montage.Slice(.sagittal, at: 9),
      ])
  }

  @Test("differences have the sign that their heading says")
  func differences() throws {
    let clean = volume { x, y, _ in Float(x + y) }
    let input = volume { x, y, _ in Float(x + y) + 10 }
    let output = volume { x, y, _ in Float(x + y) - 5 }
    let montage = try Montage(input: input, output: output, reference: clean, planes: [.axial])
    #expect(montage.panels == [.input, .output, .reference, .inputError, .outputError])
    #expect(montage.differenceLimit == 10)
    let slice = montage.slices[0]
    #expect(montage.slice(slice, of: .inputError).pixels.allSatisfy { $0 == 10 })
    #expect(montage.slice(slice, of: .outputError).pixels.allSatisfy { $0 == -5 })
    #expect(montage.slice(slice, of: .change).pixels.allSatisfy { $0 == -15 })

    let image = montage.image()
    let panels = spans(image, row: 100)
    #expect(panels.count == 5)
    let scale = DifferenceScale(limit: 10)
    for (panel, difference) in [(3, 10.0), (4, -5.0)] {
      let expected = scale.colour(of: difference)
      #expect(
        colour(image, panels[panel].lowerBound + panels[panel].count / 2, 100)
          == [UInt16(expected.red), UInt16(expected.green), UInt16(expected.blue)])
    }
    let change = try Montage(input: input, output: output, planes: [.axial])
    #expect(change.panels == [.input, .output, .change])
    #expect(change.differenceLimit == 15)
  }

  @Test("a panel of its own has a voxel a pixel, in grey or in the colours of differences")
  func panels() throws {
    let clean = volume { x, y, _ in Float(x + y) }
    let output = volume { x, y, _ in Float(x + y) + (x < 20 ? -4 : 2) }
    var montage = try Montage(input: output, output: output, reference: clean, planes: [.axial])
    montage.window = 0...74
    montage.differenceLimit = 4
    let slice = montage.slices[0]
    let grey = montage.image(of: slice, .reference)
    #expect(grey.colour == .grey && grey.bitDepth == 8)
    #expect((grey.height, grey.width) == (36, 40))
    #expect(grey.samples.first == 0 && grey.samples.last == 255)
    let difference = montage.image(of: slice, .outputError)
    #expect(difference.colour == .palette)
    // Storage x grows to the patient's left, which is on the right of the picture.
    #expect(Array(difference.samples.prefix(20)) == [UInt16](repeating: 0, count: 20))
    let scale = DifferenceScale(limit: 4)
    let colour = scale.colour(of: 2)
    let entry = difference.palette[Int(difference.samples[39])]
    let distance = abs(Int(entry.red) - Int(colour.red)) + abs(Int(entry.blue) - Int(colour.blue))
    #expect(distance <= 4)
    #expect(difference.palette[Int(scale.index(of: 0))].green == 255)
    #expect(scale.index(of: .nan) == 127 && scale.index(of: .infinity) == 254)
    let small = montage.image(of: slice, .reference, reducedBy: 4)
    #expect((small.height, small.width) == (9, 10))
    // The mean of 0 to 6 is 3 of 74.
    #expect(small.samples.first == 10)
  }

  @Test("the difference scale is white at zero, blue below, red above, and symmetric in lightness")
  func scale() {
    let scale = DifferenceScale(limit: 4)
    #expect(scale.colour(of: 0) == .white)
    #expect(scale.colour(of: .nan) == .white)
    #expect(scale.colour(of: 4) == scale.colour(of: 400))
    #expect(scale.colour(of: -4) == scale.colour(of: -.infinity))
    for step in 1...8 {
      let above = scale.colour(of: Double(step) / 2)
      let below = scale.colour(of: -Double(step) / 2)
      #expect(above.red > above.blue && below.blue > below.red)
      let weaker = scale.colour(of: Double(step - 1) / 2)
      #expect(above.green < weaker.green)
    }
  }

  @Test(
    "numbers on scales are round and short",
    arguments: [
      (0.3, 0.3, "0.3"), (37, 40, "40"), (101, 150, "150"), (0.00021, 0.0003, "0.0003"),
      (6.5, 8, "8"), (9.2, 10, "10"), (1, 1, "1"), (12_345_678, 15_000_000, "1.5e7"),
    ])
  func roundNumbers(value: Double, rounded: Double, label: String) {
    let result = DifferenceScale.roundedUp(value)
    #expect(abs(result - rounded) < 1e-9 * rounded)
    #expect(scaleLabel(result) == label)
  }

  @Test(
    "labels keep three digits",
    arguments: [
      (0, "0"), (921.4, "921"), (50.506, "50.5"), (-1024, "-1024"), (0.125, "0.125"),
      (1.999, "2"), (100, "100"), (3e-7, "3.0e-7"),
    ])
  func labels(value: Double, label: String) {
    #expect(scaleLabel(value) == label)
  }

  @Test("every printable character has a glyph of its own; others show as question marks")
  func font() {
    func bits(_ character: Character) -> [Bool] {
      (0..<BitmapFont.glyphHeight).flatMap { row in
        (0..<BitmapFont.glyphWidth).map { BitmapFont.isSet(character, column: $0, row: row) }
      }
    }
    let glyphs = (32...126 as ClosedRange<UInt8>).map { bits(Character(UnicodeScalar($0))) }
    #expect(Set(glyphs).count == 95)
    #expect(bits(" ").allSatisfy { !$0 })
    #expect(bits("µ") == bits("?"))
    #expect(bits("\u{7F}") == bits("?"))
    // Capitals stand on the base line, an L has its foot there and its stem at the left.
    #expect((0..<7).allSatisfy { BitmapFont.isSet("L", column: 0, row: $0) })
    #expect((0..<5).allSatisfy { BitmapFont.isSet("L", column: $0, row: 6) })
    #expect(!BitmapFont.isSet("L", column: 4, row: 0))
    #expect(BitmapFont.width(of: "abc") == 17)
    #expect(BitmapFont.width(of: "") == 0)
  }

  @Test("resizing keeps equal sizes, constants, edges and means")
  func resampling() {
    let slice = ImageSlice(pixels: (0..<12).map(Float.init), height: 3, width: 4)
    #expect(Resampling.resize(slice, height: 3, width: 4) == (0..<12).map(Double.init))
    let halved = Resampling.resize(slice, height: 3, width: 2)
    #expect(halved == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5])
    let doubled = Resampling.resize(slice, height: 3, width: 8)
    #expect(Array(doubled.prefix(8)) == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    let single = ImageSlice(pixels: [7], height: 1, width: 1)
    #expect(Resampling.resize(single, height: 2, width: 3) == [7, 7, 7, 7, 7, 7])
    let odd = Resampling.resize(slice, height: 2, width: 3)
    #expect(abs(odd.reduce(0, +) / 6 - 5.5) < 1e-12)
  }

  @Test("a thin stack shows its plane of acquisition only; proportions are those in mm")
  func anisotropic() throws {
    let thin = Volume(
      voxels: [Float](repeating: 1, count: 40 * 20 * 5),
      geometry: Geometry(
        size: GridSize(x: 40, y: 20, z: 5),
        affine: Affine(i: [-1, 0, 0], j: [0, -4, 0], k: [0, 0, 9])))
    let montage = try Montage(input: thin, output: thin)
    #expect(montage.slices.map(\.plane) == [.axial])
    let image = montage.image()
    let panel = try #require(spans(image, row: 150).first)
    let line: [UInt16] = [168, 174, 184]
    let x = panel.lowerBound + 3
    let edges = (0..<image.height).filter { colour(image, x, $0) == line }
    #expect(edges[1] - edges[0] - 1 == 2 * panel.count)
  }

  @Test("texts of any length and number fit; the picture is the same every time")
  func texts() throws {
    let input = volume { x, y, z in Float(x * y + z) }
    var montage = try Montage(input: input, output: input, planes: [.coronal])
    let narrow = montage.image()
    montage.title = String(repeating: "long title µ ", count: 20)
    montage.captions = ["PSNR 20.1 -> 30.2 dB", "line two"]
    montage.notes = [.input: "20.1 dB"]
    montage.headings[.change] = String(repeating: "x", count: 40)
    let wide = montage.image()
    #expect(wide.width >= 12 * montage.title.count)
    #expect(wide.height > narrow.height + 3 * 20)
    #expect(wide == montage.image())
  }

  @Test("identical and constant images make a picture too")
  func degenerate() throws {
    let constant = volume { _, _, _ in 5 }
    let montage = try Montage(input: constant, output: constant, reference: constant)
    #expect(montage.window == 5...6)
    #expect(montage.differenceLimit > 0)
    #expect(montage.image().width > 0)
    // 1 more is the same number there.
    let large = volume { _, _, _ in 1e20 }
    let picture = try Montage(input: large, output: large)
    #expect(picture.window.lowerBound < picture.window.upperBound && picture.image().width > 0)
    #expect(throws: ImagingError.noFiniteVoxel(file: "image")) {
      let empty = volume { _, _, _ in .nan }
      return try Montage(input: empty, output: empty)
    }
  }

  @Test("images on different grids are refused")
  func mismatch() throws {
    let input = volume { x, _, _ in Float(x) }
    let moved = Volume(
      voxels: input.voxels,
      geometry: Geometry(
        size: size,
        affine: Affine(i: [-1, 0, 0], j: [0, -1, 0], k: [0, 0, 1], origin: [2, 0, 0])))
    let error = #expect(throws: ImagingError.self) { try Montage(input: input, output: moved) }
    #expect(error?.kind == "geometry")
    #expect(throws: ImagingError.self) {
      try Montage(input: input, output: input, reference: moved)
    }
  }

  @Test("the picture is written as a PNG file")
  func writing() throws {
    try withTemporaryFolder { folder in
      let input = volume { x, _, _ in Float(x) }
      let montage = try Montage(input: input, output: input)
      let path = folder.appending(path: "m.png").path
      try montage.write(to: path)
      #expect(try PNGImage(contentsOf: path).samples == montage.image().samples)
      #expect(throws: ImagingError.outputExists(file: path)) { try montage.write(to: path) }
    }
  }
}
