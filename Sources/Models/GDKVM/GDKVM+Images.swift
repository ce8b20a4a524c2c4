public import TensorCore

// Single images, as other networks take them: each is the first frame of a clip.
extension GDKVM {
  /// Channels of a frame.
  public var inChannels: Int { configuration.inChannels }

  /// The objects and, first, the background.
  public var outChannels: Int { configuration.objects + 1 }

  /// 16: features are four levels below full resolution.
  public var sizeMultiple: Int { Self.sizeStep }

  /// Log-odds of images `[N, H, W, C]`, each a clip of one frame: `[N, H, W, N + 1]`.
  public func forward(_ x: Tensor) -> Tensor { step(encoded(x), state: nil).frame.logits }

  /// Multiply-adds of all convolutions and linear maps for one frame of a running clip, attention's and
  /// the memory's products included.
  public func multiplyAdds(height: Int, width: Int) -> Int {
    let c = configuration
    let pixels = (0..<5).map { (height >> $0) * (width >> $0) }
    let (p16, p8, p4) = (pixels[4], pixels[3], pixels[2])
    func encoder(_ kind: ResidualEncoderKind, _ inChannels: Int, _ width: Int) -> Int {
      var sum = 49 * inChannels * width * pixels[1]
      let counts = kind == .resnet50 ? [3, 4, 6] : [2, 2, 2]
      let expansion = kind == .resnet50 ? 4 : 1
      var channels = width
      for (stage, count) in counts.enumerated() {
        let (inner, area) = (width << stage, pixels[stage + 2])
        let out = inner * expansion
        for block in 0..<count {
          // The first convolution of a bottleneck is ahead of the stride.
          let before = block == 0 && stage > 0 ? pixels[stage + 1] : area
          sum +=
            kind == .resnet50
            ? channels * inner * before + 9 * inner * inner * area + inner * out * area
            : 9 * channels * inner * area + 9 * inner * inner * area
          if block == 0 && (stage > 0 || channels != out) { sum += channels * out * area }
          channels = out
        }
      }
      return sum
    }
    func residual(_ channels: Int) -> Int { 2 * 9 * channels * channels * p16 }
    func fuser(_ x: Int, _ y: Int, _ out: Int) -> Int { (x + y) * out * p16 + 2 * residual(out) }
    func gate(_ input: Int) -> Int {
      9 * (input + c.sensoryChannels) * 3 * c.sensoryChannels * p16
    }
    let frame =
      encoder(c.imageEncoder, c.inChannels, c.imageEncoderWidth)
      + imageFeatureChannels[2] * (2 * c.pixelChannels) * p16
      + 2 * 9 * c.pixelChannels * c.keyChannels * p16 + c.pixelChannels * c.pixelChannels * p16
      + imageFeatureChannels[1] * c.decoderChannels[0] * p8
      + imageFeatureChannels[0] * c.decoderChannels[1] * p4
    let maskChannels = c.maskEncoderWidth * (c.maskEncoder == .resnet50 ? 16 : 4)
    let (e, q) = (c.embedChannels, c.queries)
    let block =
      // Three attentions' maps and products, the feed-forward layer, the CA-res block.
      (4 * q + 2 * p16) * e * e + 4 * q * e * e + (2 * p16 + 2 * q) * e * e
      + 2 * e * q * (2 * p16 + q) + 2 * q * e * c.feedForwardChannels + residual(e)
    let d = c.decoderChannels
    let decoder =
      9 * (d[0] * d[1] + d[1] * d[1]) * p8 + (d[0] != d[1] ? d[0] * d[1] * p8 : 0)
      + 9 * (d[1] * d[2] + d[2] * d[2]) * p4 + (d[1] != d[2] ? d[1] * d[2] * p4 : 0) + d[2] * p4
      + (d[0] + d[1] + d[2] + 1) * c.sensoryChannels * p16
    let object =
      encoder(c.maskEncoder, c.inChannels + 2, c.maskEncoderWidth)
      + fuser(c.pixelChannels, maskChannels, c.valueChannels) + gate(c.valueChannels)
      + p16 * (c.valueChannels * e + 3 * e * e + 2 * e * q)
      + c.keyChannels * (2 * p16 * c.valueChannels + p16 * c.keyChannels)
      + c.keyChannels * c.keyChannels * c.valueChannels
      + (c.sensoryChannels + 2) * c.valueChannels * p16
      + fuser(c.pixelChannels, c.valueChannels, e) + 2 * e * e * (q + p16)
      + c.blocks * block + decoder + gate(c.sensoryChannels)
    return frame + c.objects * object
  }

  /// Channels of the image encoder at 1/4, 1/8 and 1/16.
  private var imageFeatureChannels: [Int] {
    let expansion = configuration.imageEncoder == .resnet50 ? 4 : 1
    return (0..<3).map { (configuration.imageEncoderWidth << $0) * expansion }
  }
}
