public import Imaging
public import Models

extension ModelCard {
  /// What a network takes and gives.
  public struct Interface: Sendable, Equatable {
    /// What the network does.
    public var task: Task
    /// What goes in.
    public var input: DataFormat
    /// What comes out.
    public var output: DataFormat
    /// How intensities are brought to the network's range.
    public var normalization: IntensityNormalization

    /// All four.
    public init(
      task: Task, input: DataFormat, output: DataFormat, normalization: IntensityNormalization
    ) {
      (self.task, self.input, self.output) = (task, input, output)
      self.normalization = normalization
    }

    /// Frames of ultrasound clips, and the chambers in them.
    ///
    /// - Parameters:
    ///   - network: Its configuration.
    ///   - size: Rows and columns to which frames are resampled; the authors took 256 for CAMUS and 128 for
    ///     EchoNet-Dynamic.
    /// - Returns: What goes in and comes out.
    public static func clips(_ network: GDKVMConfiguration, size: [Int]) -> Self {
      var frames = DataFormat(modality: "US", channel: "intensity")
      frames.spatialShape = size.map(String.init)
      var labels = DataFormat(modality: "US", channel: HeartLabel.background.name)
      labels.format = "segmentation"
      labels.numChannels = network.objects + 1
      for label in HeartLabel.structures.prefix(network.objects) {
        labels.channelDef["\(label.rawValue)"] = label.name
      }
      return Self(
        task: .segment, input: frames, output: labels,
        normalization: .window(low: 0, high: 255, clips: true))
    }

    /// Brains without their skulls, and the lesions in them.
    ///
    /// - Parameter channels: 1 for T1, 2 for T1 and FLAIR.
    /// - Returns: What goes in and comes out.
    public static func brains(channels: Int) -> Self {
      var images = DataFormat(modality: "MR", channel: "T1")
      images.spatialShape = ["*", "*", "*"]
      images.numChannels = channels
      if channels == 2 { images.channelDef = ["0": "T1", "1": "FLAIR"] }
      var labels = DataFormat(modality: "MR", channel: "background")
      labels.format = "segmentation"
      labels.spatialShape = images.spatialShape
      labels.numChannels = 2
      labels.channelDef = ["0": "background", "1": "lesion"]
      return Self(task: .segment, input: images, output: labels, normalization: .zScore(of: .all))
    }

    /// Photographs of the fundus, and disc and cup in them.
    ///
    /// - Parameter size: Rows and columns for which the network's kernels were generated.
    /// - Returns: What goes in and comes out.
    public static func photographs(size: Int) -> Self {
      var colours = DataFormat(modality: "OP", channel: "red")
      colours.numChannels = 3
      colours.channelDef = ["0": "red", "1": "green", "2": "blue"]
      colours.spatialShape = ["\(size)", "\(size)"]
      colours.valueRange = [-1, 1]
      var maps = DataFormat(modality: "OP", channel: "cup")
      (maps.format, maps.numChannels) = ("segmentation", 2)
      maps.channelDef = ["0": "cup", "1": "disc"]
      maps.spatialShape = colours.spatialShape
      return Self(
        task: .segment, input: colours, output: maps, normalization: .window(low: 127.5, high: 255))
    }

    /// Intensities, and the same restored.
    ///
    /// - Parameters:
    ///   - modality: As in `MR`, `CT`, `PT`.
    ///   - network: Its channels are those of the images.
    ///   - normalization: How intensities are brought to the network's range.
    /// - Returns: What goes in and comes out.
    public static func restoration(
      modality: String, _ network: any RestorationModel, normalization: IntensityNormalization
    ) -> Self {
      func format(_ channels: Int) -> DataFormat {
        var format = DataFormat(modality: modality, channel: "intensity")
        format.numChannels = channels
        for channel in 1..<max(channels, 2) where channel < channels {
          format.channelDef["\(channel)"] = "intensity \(channel)"
        }
        return format
      }
      return Self(
        task: .restore, input: format(network.inChannels), output: format(network.outChannels),
        normalization: normalization)
    }
  }
}
