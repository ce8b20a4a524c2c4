// swift-tools-version: 6.0
import PackageDescription

let swiftSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

// Set by the Makefile. SwiftPM's own knowledge of the commit is cached and may be stale.
let revision = Context.environment["RESTORE_REVISION"] ?? "unknown"

let package = Package(
  name: "restore",
  products: [
    .executable(name: "restore", targets: ["restore"]),
    .library(name: "Imaging", targets: ["Imaging"]),
    .library(name: "TensorCore", targets: ["TensorCore"]),
    .library(name: "Layers", targets: ["Layers"]),
    .library(name: "Models", targets: ["Models"]),
    .library(name: "Inference", targets: ["Inference"]),
    .library(name: "Train", targets: ["Train"]),
    .library(name: "Parity", targets: ["Parity"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
  ],
  targets: [
    // MARK: - The command

    .executableTarget(
      name: "restore",
      dependencies: [
        "Benchmark", "Imaging", "Inference", "Layers", "Models", "Parity", "Randomness",
        "SourceRevision", "TensorCore", "Train",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: swiftSettings),

    .target(
      name: "SourceRevision", cSettings: [.define("RESTORE_REVISION", to: "\"\(revision)\"")]),

    // MARK: - Training, inference, parity

    .target(
      name: "Train",
      dependencies: [
        "Imaging", "Inference", "Layers", "Models", "Randomness", "TensorCore",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "Benchmark",
      dependencies: [
        "Kernels", "Layers", "Models", "OneDNNBridge", "Randomness", "TensorCore", "Train",
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "Parity",
      dependencies: ["Imaging", "Layers", "Models", "TensorCore"],
      swiftSettings: swiftSettings),
    .target(
      name: "Inference",
      dependencies: ["Imaging", "Layers", "Models", "TensorCore"],
      swiftSettings: swiftSettings),

    // MARK: - Networks

    .target(
      name: "Models",
      dependencies: ["Layers", "Randomness", "TensorCore"],
      exclude: [
        "DnCNN/README.md", "FSRWKV/README.md", "GDKVM/README.md", "NAFNet/README.md",
        "RestoreRWKV/README.md", "Stroke/README.md", "TVConvNet/README.md", "UNet/README.md",
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "Layers",
      dependencies: ["Randomness", "TensorCore"],
      swiftSettings: swiftSettings),

    // MARK: - Tensors

    .target(
      name: "TensorCore",
      dependencies: ["Fourier", "Kernels", "OneDNNBridge", "Randomness"],
      swiftSettings: swiftSettings),
    .target(name: "Kernels"),
    .target(name: "OneDNNBridge", dependencies: ["COneDNN"]),

    // MARK: - Images

    .target(
      name: "Imaging",
      dependencies: ["CNIfTI", "CZlib", "Fourier", "PNGBridge", "Randomness"],
      swiftSettings: swiftSettings),
    .target(name: "PNGBridge", dependencies: ["CPNG"]),
    .target(
      name: "CNIfTI",
      linkerSettings: [
        .linkedLibrary("nifti2"), .linkedLibrary("znz"), .linkedLibrary("z"), .linkedLibrary("m"),
      ]),

    // MARK: - Shared ground

    .target(name: "Fourier", dependencies: ["CFFTW"], swiftSettings: swiftSettings),
    .target(name: "Randomness", swiftSettings: swiftSettings),

    // MARK: - System libraries

    .systemLibrary(name: "CFFTW", providers: [.apt(["libfftw3-dev"]), .brew(["fftw"])]),
    .systemLibrary(name: "COneDNN", providers: [.apt(["libdnnl-dev"]), .brew(["onednn"])]),
    .systemLibrary(
      name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"]), .brew(["libpng"])]),
    .systemLibrary(
      name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),

    // MARK: - Tests

    .target(
      name: "TestSupport",
      dependencies: ["Layers", "Randomness", "TensorCore"],
      path: "Tests/TestSupport",
      swiftSettings: swiftSettings),
    .testTarget(
      name: "KernelsTests", dependencies: ["Kernels", "Randomness", "TestSupport"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RandomnessTests", dependencies: ["Randomness"], swiftSettings: swiftSettings),
    .testTarget(
      name: "FourierTests", dependencies: ["Fourier", "Randomness"], swiftSettings: swiftSettings),
    .testTarget(
      name: "TensorCoreTests",
      dependencies: ["Randomness", "TensorCore", "TestSupport"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "LayersTests", dependencies: ["Layers", "Randomness", "TensorCore", "TestSupport"],
      resources: [.copy("Fixtures")],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "ModelsTests",
      dependencies: ["Layers", "Models", "Parity", "Randomness", "TensorCore", "TestSupport"],
      resources: [.copy("Goldens")],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "ImagingTests", dependencies: ["CNIfTI", "CZlib", "Imaging", "Randomness"],
      resources: [.copy("Fixtures")],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "InferenceTests",
      dependencies: ["Imaging", "Inference", "Layers", "Models", "Randomness", "TensorCore"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "BenchmarkTests", dependencies: ["Benchmark", "TensorCore"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "TrainTests",
      dependencies: [
        "Imaging", "Inference", "Layers", "Models", "Randomness", "TensorCore", "TestSupport",
        "Train",
      ],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RestoreCommandTests",
      dependencies: ["Imaging", "Inference", "Layers", "Models", "Randomness"],
      exclude: ["Fixtures"],
      swiftSettings: swiftSettings),
  ],
  swiftLanguageModes: [.v6]
)
