/// A way in which a header states where the voxels lie.
public enum AffineForm: String, Sendable, Codable, CustomStringConvertible {
  /// The matrix (method 3).
  case sform
  /// The quaternion (method 2).
  case qform
  /// Voxel sizes only (method 1).
  case pixdim

  /// The name in messages.
  public var description: String { rawValue }
}

/// Which form is used if a header has both.
public enum AffineSource: String, Sendable, Codable, CaseIterable {
  /// The sform if it is there, else the qform.
  case auto
  /// The sform if it is there.
  case sform
  /// The qform if it is there.
  case qform
}

/// The geometry of an image and how it was found.
struct ChosenGeometry: Sendable, Equatable {
  let geometry: Geometry
  let form: AffineForm
  /// Whether the voxel size is the user's and not the file's.
  let isSpacingAssumed: Bool
}

extension NIfTIHeader {
  /// The sform, or nil if its code is 0; not necessarily usable.
  public var sform: Affine? {
    guard integer(.sformCode) > 0 else { return nil }
    let rows = [NIfTIField.srowX, .srowY, .srowZ].map { numbers($0) }
    func column(_ index: Int) -> SIMD3<Double> {
      SIMD3(rows[0][index], rows[1][index], rows[2][index])
    }
    return Affine(i: column(0), j: column(1), k: column(2), origin: column(3))
  }

  /// The numbers of the qform, or nil if its code is 0; not necessarily finite.
  public var quaternionForm: QuaternionForm? {
    guard integer(.qformCode) > 0 else { return nil }
    return QuaternionForm(
      vector: SIMD3(number(.quaternB), number(.quaternC), number(.quaternD)),
      offset: SIMD3(number(.qoffsetX), number(.qoffsetY), number(.qoffsetZ)),
      spacing: voxelSizes, qfac: number(.pixdim) < 0 ? -1 : 1)
  }

  /// The stored voxel size along x, y, z; 1 for an axis beyond the number of dimensions whose
  /// stored size means nothing.
  private var voxelSizes: SIMD3<Double> {
    let rank = integer(.dim)
    var sizes = SIMD3(number(.pixdim, at: 1), number(.pixdim, at: 2), number(.pixdim, at: 3))
    for axis in 0..<3 where axis >= rank && !(sizes[axis].isFinite && sizes[axis] > 0) {
      sizes[axis] = 1
    }
    return sizes
  }

  /// Chooses the affine by the rules of the format and of the caller.
  ///
  /// - Parameters:
  ///   - size: The checked number of voxels.
  ///   - source: Which form is wanted if there are two.
  ///   - assumed: Voxel size along x, y, z in mm that takes the place of an unusable one.
  ///   - file: The name of the file in errors.
  ///   - warnings: Receives what is worth telling.
  /// - Returns: The geometry, always with a usable affine.
  /// - Throws: ``ImagingError/invalidVoxelSize(file:reason:)``.
  func chooseGeometry(
    size: GridSize, source: AffineSource, assumed: SIMD3<Double>?, file: String,
    warnings: inout [NIfTIWarning]
  ) throws(ImagingError) -> ChosenGeometry {
    let pixdim = voxelSizes
    let badAxis = (0..<3).first { !Geometry.spacingRange.contains(pixdim[$0]) }
    let form: AffineForm = chooseForm(source, warnings: &warnings)
    // A qform is built from the voxel sizes, so assumed ones enter it here.
    let qform = quaternionForm.flatMap {
      self.affine(of: $0, spacing: badAxis == nil ? pixdim : assumed)
    }
    let candidate =
      switch form {
      case .sform: sform
      case .qform: qform
      case .pixdim: badAxis == nil ? Affine(spacing: pixdim) : nil
      }
    let affine = candidate.flatMap { $0.isUsable && Geometry.accepts($0.spacing) ? $0 : nil }

    if badAxis == nil, let affine {
      addWarnings(sform, qform, size: size, used: form, warnings: &warnings)
      let isKnown = form != .pixdim
      if !isKnown { warnings.append(.orientationUnknown) }
      return ChosenGeometry(
        geometry: Geometry(size: size, affine: affine, isOrientationKnown: isKnown), form: form,
        isSpacingAssumed: false)
    }

    let reason =
      badAxis.map { "pixdim[\($0 + 1)] is \(pixdim[$0])" }
      ?? "the affine of the \(form) is singular, not finite, or one of impossible voxels"
    guard let assumed else { throw .invalidVoxelSize(file: file, reason: reason) }
    guard Geometry.accepts(assumed) else {
      throw .invalidVoxelSize(
        file: file, reason: "\(assumed.x) x \(assumed.y) x \(assumed.z) mm was asked for")
    }
    warnings.append(.assumedSpacing(reason: reason))
    guard let affine, form != .pixdim else {
      warnings.append(.orientationUnknown)
      return ChosenGeometry(
        geometry: Geometry(size: size, spacing: assumed), form: .pixdim, isSpacingAssumed: true)
    }
    return ChosenGeometry(
      geometry: Geometry(size: size, affine: affine.withSpacing(assumed)), form: form,
      isSpacingAssumed: true)
  }

  private func chooseForm(_ source: AffineSource, warnings: inout [NIfTIWarning]) -> AffineForm {
    let has: (sform: Bool, qform: Bool) = (integer(.sformCode) > 0, integer(.qformCode) > 0)
    let automatic: AffineForm = has.sform ? .sform : has.qform ? .qform : .pixdim
    let requested: AffineForm
    switch source {
    case .auto: return automatic
    case .sform: requested = .sform
    case .qform: requested = .qform
    }
    if requested == .qform ? has.qform : has.sform { return requested }
    warnings.append(.formUnavailable(requested: requested, used: automatic))
    return automatic
  }

  /// The affine of a qform, or nil if its numbers are no basis for one.
  private func affine(of form: QuaternionForm, spacing: SIMD3<Double>?) -> Affine? {
    guard let spacing else { return nil }
    var form = form
    form.spacing = spacing
    // libnifti computes; only finite numbers reach it.
    for vector in [form.vector, form.offset] {
      guard vector.x.isFinite, vector.y.isFinite, vector.z.isFinite else { return nil }
    }
    return form.affine
  }

  private func addWarnings(
    _ sform: Affine?, _ qform: Affine?, size: GridSize, used: AffineForm,
    warnings: inout [NIfTIWarning]
  ) {
    if integer(.sformCode) > 0, integer(.qformCode) > 0, let sform, let qform,
      sform.isUsable, qform.isUsable
    {
      let pairs = zip(
        Geometry.corners(of: sform, size: size), Geometry.corners(of: qform, size: size))
      let offset = pairs.map { length($0 - $1) }.max() ?? 0
      if offset > 1e-3 { warnings.append(.formsDiffer(offset: offset, used: used)) }
    }
    switch integer(.units) & 7 {
    case 1: warnings.append(.spaceUnit("metres"))
    case 3: warnings.append(.spaceUnit("micrometres"))
    default: break
    }
  }
}

// MARK: - Writing a new grid

extension NIfTIHeader {
  /// Writes sizes, voxel sizes and both forms of a new grid.
  ///
  /// Patches `dim`, `pixdim`, the quaternion and offset fields, `srow_*` and both codes, and sets
  /// the four fields on slice timing to 0, since they count slices of the old grid. A code that was
  /// 0 takes the value of the other one. Without a known orientation both codes become 0.
  ///
  /// - Returns: Whether the quaternion form could express the affine; if not, its code is 0.
  mutating func setGrid(_ geometry: Geometry) -> Bool {
    for axis in 0..<3 { set(.dim, at: axis + 1, to: geometry.size[axis]) }
    for field in [NIfTIField.sliceStart, .sliceEnd, .sliceCode, .sliceDuration] {
      set(field, to: 0)
    }
    let spacing = geometry.spacing
    for axis in 0..<3 { set(.pixdim, at: axis + 1, to: spacing[axis]) }
    guard geometry.isOrientationKnown else {
      set(.qformCode, to: 0)
      set(.sformCode, to: 0)
      return true
    }

    let affine = geometry.affine
    for (row, field) in [NIfTIField.srowX, .srowY, .srowZ].enumerated() {
      for (column, value) in affine.rows[row].enumerated() { set(field, at: column, to: value) }
    }
    let form = QuaternionForm(closestTo: affine)
    set(.pixdim, at: 0, to: form.qfac)
    for (field, value) in [
      (NIfTIField.quaternB, form.vector.x), (.quaternC, form.vector.y), (.quaternD, form.vector.z),
      (.qoffsetX, form.offset.x), (.qoffsetY, form.offset.y), (.qoffsetZ, form.offset.z),
    ] {
      set(field, to: value)
    }
    let codes = (q: integer(.qformCode), s: integer(.sformCode))
    // 1: the space of the scanner; what else, if nobody said.
    let fallback = max(codes.q, codes.s) > 0 ? max(codes.q, codes.s) : 1
    set(.sformCode, to: codes.s > 0 ? codes.s : fallback)
    set(.qformCode, to: codes.q > 0 ? codes.q : fallback)

    var exact = form
    exact.spacing = spacing
    let offset = Geometry(size: geometry.size, affine: exact.affine)
      .largestCornerOffset(from: geometry)
    guard offset > 1e-3 else { return true }
    set(.qformCode, to: 0)
    return false
  }
}
