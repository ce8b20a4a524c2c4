import Layers
import Randomness

extension ConvolutionChoice {
  /// Checks the choice for all places of a network.
  ///
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)`` naming the first layer that
  ///   cannot be of the chosen kind, and the rule.
  func check(_ sites: [ConvolutionSite], architecture: String) throws(ModelError) {
    func refuse(_ rule: String) -> ModelError {
      .invalidValue(
        key: "convolution", value: kind.rawValue, architecture: architecture, rule: rule)
    }
    if let flaw { throw refuse(flaw) }
    for site in sites {
      do throws(ConvolutionRefusal) { _ = try kind(at: site) } catch { throw refuse("\(error)") }
    }
  }

  /// The layer at a site that was checked.
  func layer(
    at site: ConvolutionSite, using generator: inout SeededGenerator
  ) -> any ConvolutionLayer {
    do throws(ConvolutionRefusal) {
      return try makeLayer(site, using: &generator)
    } catch {
      preconditionFailure("\(error)")
    }
  }
}
