/// A field of a NIfTI header; the raw value is its name in the standard.
public enum NIfTIField: String, Sendable, CaseIterable {
  /// The size of the header, 348 or 540; its byte order is that of the file.
  case headerSize = "sizeof_hdr"
  /// What marks the file as NIfTI, and as a single file or a pair.
  case magic
  /// Which axes are frequency, phase and slice encoding.
  case dimInfo = "dim_info"
  /// The number of dimensions, then the size of each.
  case dim
  /// The first parameter of the intent.
  case intentP1 = "intent_p1"
  /// The second parameter of the intent.
  case intentP2 = "intent_p2"
  /// The third parameter of the intent.
  case intentP3 = "intent_p3"
  /// What the numbers mean.
  case intentCode = "intent_code"
  /// A name for what the numbers mean.
  case intentName = "intent_name"
  /// The code of the voxel type.
  case dataType = "datatype"
  /// Bits a voxel.
  case bitsPerVoxel = "bitpix"
  /// The first slice that was acquired.
  case sliceStart = "slice_start"
  /// The last slice that was acquired.
  case sliceEnd = "slice_end"
  /// The order in which slices were acquired.
  case sliceCode = "slice_code"
  /// The time for one slice.
  case sliceDuration = "slice_duration"
  /// The handedness of the quaternion form, then the size of a voxel along each dimension.
  case pixdim
  /// The offset of the voxels in their file, in bytes.
  case voxelOffset = "vox_offset"
  /// The factor from stored to true values.
  case slope = "scl_slope"
  /// The summand from stored to true values.
  case intercept = "scl_inter"
  /// The units of space and time.
  case units = "xyzt_units"
  /// The upper end of the display range.
  case displayMaximum = "cal_max"
  /// The lower end of the display range.
  case displayMinimum = "cal_min"
  /// The shift of the time axis.
  case timeOffset = "toffset"
  /// Any text.
  case description = "descrip"
  /// The name of an auxiliary file.
  case auxiliaryFile = "aux_file"
  /// What space the quaternion form leads to; 0 if there is none.
  case qformCode = "qform_code"
  /// What space the matrix form leads to; 0 if there is none.
  case sformCode = "sform_code"
  /// Quaternion b.
  case quaternB = "quatern_b"
  /// Quaternion c.
  case quaternC = "quatern_c"
  /// Quaternion d.
  case quaternD = "quatern_d"
  /// The x position of the first voxel in the quaternion form.
  case qoffsetX = "qoffset_x"
  /// The y position of the first voxel in the quaternion form.
  case qoffsetY = "qoffset_y"
  /// The z position of the first voxel in the quaternion form.
  case qoffsetZ = "qoffset_z"
  /// The first row of the matrix form.
  case srowX = "srow_x"
  /// The second row of the matrix form.
  case srowY = "srow_y"
  /// The third row of the matrix form.
  case srowZ = "srow_z"
}

/// Where a field lies in the header, and as what.
struct NIfTIFieldPlace: Sendable {
  /// The type of one element.
  enum Kind: Int, Sendable {
    case byte, text, int16, int32, int64, float32, float64

    /// The size of one element in bytes.
    var size: Int {
      switch self {
      case .byte, .text: 1
      case .int16: 2
      case .int32, .float32: 4
      case .int64, .float64: 8
      }
    }

    /// The values that an element of a whole-number field can take.
    var range: ClosedRange<Int> {
      switch self {
      case .int16: Int(Int16.min)...Int(Int16.max)
      case .int32: Int(Int32.min)...Int(Int32.max)
      case .int64: .min ... .max
      case .byte, .text, .float32, .float64: 0...255
      }
    }
  }

  let offset: Int
  let kind: Kind
  let count: Int

  /// The bytes that the field occupies.
  var range: Range<Int> { offset..<offset + count * kind.size }

  init(_ offset: Int, _ kind: Kind, _ count: Int = 1) {
    self.offset = offset
    self.kind = kind
    self.count = count
  }
}

extension NIfTIField {
  /// The bytes of the field in the header of a version.
  package func range(in version: NIfTIHeader.Version) -> Range<Int> { place(in: version).range }

  /// Where the field lies in the header of a version.
  ///
  /// Source: the C structures of the NIfTI-1 and NIfTI-2 standards.
  func place(in version: NIfTIHeader.Version) -> NIfTIFieldPlace {
    switch version {
    case .one: placeInVersion1
    case .two: placeInVersion2
    }
  }

  private var placeInVersion1: NIfTIFieldPlace {
    switch self {
    case .headerSize: NIfTIFieldPlace(0, .int32)
    case .dimInfo: NIfTIFieldPlace(39, .byte)
    case .dim: NIfTIFieldPlace(40, .int16, 8)
    case .intentP1: NIfTIFieldPlace(56, .float32)
    case .intentP2: NIfTIFieldPlace(60, .float32)
    case .intentP3: NIfTIFieldPlace(64, .float32)
    case .intentCode: NIfTIFieldPlace(68, .int16)
    case .dataType: NIfTIFieldPlace(70, .int16)
    case .bitsPerVoxel: NIfTIFieldPlace(72, .int16)
    case .sliceStart: NIfTIFieldPlace(74, .int16)
    case .pixdim: NIfTIFieldPlace(76, .float32, 8)
    case .voxelOffset: NIfTIFieldPlace(108, .float32)
    case .slope: NIfTIFieldPlace(112, .float32)
    case .intercept: NIfTIFieldPlace(116, .float32)
    case .sliceEnd: NIfTIFieldPlace(120, .int16)
    case .sliceCode: NIfTIFieldPlace(122, .byte)
    case .units: NIfTIFieldPlace(123, .byte)
    case .displayMaximum: NIfTIFieldPlace(124, .float32)
    case .displayMinimum: NIfTIFieldPlace(128, .float32)
    case .sliceDuration: NIfTIFieldPlace(132, .float32)
    case .timeOffset: NIfTIFieldPlace(136, .float32)
    case .description: NIfTIFieldPlace(148, .text, 80)
    case .auxiliaryFile: NIfTIFieldPlace(228, .text, 24)
    case .qformCode: NIfTIFieldPlace(252, .int16)
    case .sformCode: NIfTIFieldPlace(254, .int16)
    case .quaternB: NIfTIFieldPlace(256, .float32)
    case .quaternC: NIfTIFieldPlace(260, .float32)
    case .quaternD: NIfTIFieldPlace(264, .float32)
    case .qoffsetX: NIfTIFieldPlace(268, .float32)
    case .qoffsetY: NIfTIFieldPlace(272, .float32)
    case .qoffsetZ: NIfTIFieldPlace(276, .float32)
    case .srowX: NIfTIFieldPlace(280, .float32, 4)
    case .srowY: NIfTIFieldPlace(296, .float32, 4)
    case .srowZ: NIfTIFieldPlace(312, .float32, 4)
    case .intentName: NIfTIFieldPlace(328, .text, 16)
    case .magic: NIfTIFieldPlace(344, .text, 4)
    }
  }

  private var placeInVersion2: NIfTIFieldPlace {
    switch self {
    case .headerSize: NIfTIFieldPlace(0, .int32)
    case .magic: NIfTIFieldPlace(4, .text, 8)
    case .dataType: NIfTIFieldPlace(12, .int16)
    case .bitsPerVoxel: NIfTIFieldPlace(14, .int16)
    case .dim: NIfTIFieldPlace(16, .int64, 8)
    case .intentP1: NIfTIFieldPlace(80, .float64)
    case .intentP2: NIfTIFieldPlace(88, .float64)
    case .intentP3: NIfTIFieldPlace(96, .float64)
    case .pixdim: NIfTIFieldPlace(104, .float64, 8)
    case .voxelOffset: NIfTIFieldPlace(168, .int64)
    case .slope: NIfTIFieldPlace(176, .float64)
    case .intercept: NIfTIFieldPlace(184, .float64)
    case .displayMaximum: NIfTIFieldPlace(192, .float64)
    case .displayMinimum: NIfTIFieldPlace(200, .float64)
    case .sliceDuration: NIfTIFieldPlace(208, .float64)
    case .timeOffset: NIfTIFieldPlace(216, .float64)
    case .sliceStart: NIfTIFieldPlace(224, .int64)
    case .sliceEnd: NIfTIFieldPlace(232, .int64)
    case .description: NIfTIFieldPlace(240, .text, 80)
    case .auxiliaryFile: NIfTIFieldPlace(320, .text, 24)
    case .qformCode: NIfTIFieldPlace(344, .int32)
    case .sformCode: NIfTIFieldPlace(348, .int32)
    case .quaternB: NIfTIFieldPlace(352, .float64)
    case .quaternC: NIfTIFieldPlace(360, .float64)
    case .quaternD: NIfTIFieldPlace(368, .float64)
    case .qoffsetX: NIfTIFieldPlace(376, .float64)
    case .qoffsetY: NIfTIFieldPlace(384, .float64)
    case .qoffsetZ: NIfTIFieldPlace(392, .float64)
    case .srowX: NIfTIFieldPlace(400, .float64, 4)
    case .srowY: NIfTIFieldPlace(432, .float64, 4)
    case .srowZ: NIfTIFieldPlace(464, .float64, 4)
    case .sliceCode: NIfTIFieldPlace(496, .int32)
    case .units: NIfTIFieldPlace(500, .int32)
    case .intentCode: NIfTIFieldPlace(504, .int32)
    case .intentName: NIfTIFieldPlace(508, .text, 16)
    case .dimInfo: NIfTIFieldPlace(524, .byte)
    }
  }
}
