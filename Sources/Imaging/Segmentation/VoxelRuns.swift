import Foundation

extension VoxelMask {
  /// Calls `body` for each run of voxels of the set along x, in memory order.
  ///
  /// - Parameter body: Gets the number of the row, `z · Y + y`, and the run's voxels along x.
  func forEachRun(_ body: (_ row: Int, _ run: Range<Int>) -> Void) {
    voxels.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      for row in 0..<size.y * size.z {
        let start = base + row * size.x
        // Searched by the library, many voxels at a time.
        func next(_ value: Int32, from x: Int) -> Int {
          guard let found = memchr(start + x, value, size.x - x) else { return size.x }
          return UnsafeRawPointer(found) - start
        }
        var x = next(1, from: 0)
        while x < size.x {
          let end = next(0, from: x)
          body(row, x..<end)
          x = next(1, from: end)
        }
      }
    }
  }
}
