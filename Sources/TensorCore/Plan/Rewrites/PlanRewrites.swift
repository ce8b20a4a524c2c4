/// The rewrites of a plan, in the order in which they are tried.
///
/// A further one is a type of its own and a line here. Constants need no rewrite: what follows from
/// parameters alone is computed while the plan is traced.
enum PlanRewrites {
  static let all: [any PlanRewrite] = [
    FoldChannelAffine(), FoldLayerScale(), FoldNormWeight(), FuseNormShift(), FuseActivation(),
    FuseJoinedReLU(), FuseEnlargedSum(), DeferBias(), FuseElementwise(), FuseShiftProducts(),
    FusePixelShuffle(),
  ]
}
