/// The arena's blocks: one for each tensor that has memory of its own, and the steps' temporary ones.
struct PlanBlocks {
  private(set) var list: [ArenaLayout.Block] = []
  private let views: PlanViews
  private var blockOfRoot: [Int]

  init(_ graph: PlanGraph) {
    var views = PlanViews(graph)
    let lastUse = views.overwrite(graph)
    self.views = views
    blockOfRoot = [Int](repeating: -1, count: graph.shapes.count)
    func add(_ value: Int, from step: Int) {
      let root = views.roots[value]
      guard blockOfRoot[root] < 0 else { return }
      blockOfRoot[root] = list.count
      list.append(
        ArenaLayout.Block(
          count: graph.shapes[root].count, lifetime: step...max(step, lastUse[root])))
    }
    for value in graph.inputs { add(value, from: -1) }
    for (index, step) in graph.steps.enumerated() { add(step.output, from: index) }
  }

  /// The block in which a tensor is, where in it, and the distance of its rows.
  func place(of value: Int) -> (block: Int, offset: Int, rowStride: Int) {
    (blockOfRoot[views.roots[value]], views.offsets[value], views.rowStrides[value])
  }

  /// Whether the places of tensors leave nothing to do for a step.
  func isDone(_ step: Trace.Step) -> Bool { views.isView[step.output] }

  /// Adds a block that one step needs.
  mutating func add(_ count: Int, during step: Int) -> Int {
    list.append(ArenaLayout.Block(count: count, lifetime: step...step))
    return list.count - 1
  }
}

/// Which tensors are parts of others' memory.
///
/// A reshaped tensor is its source; a contiguous slice is a part of its source; tensors that are
/// joined along the outermost axis, and read by nobody else, are computed at their places in the whole,
/// as are those joined along the innermost one if all operations that touch them can do with rows that
/// lie apart; and an operation may write over an input that it reads last.
struct PlanViews {
  /// For each tensor the one in whose memory it is.
  private(set) var roots: [Int]
  /// Where in that memory it begins, in floats.
  private(set) var offsets: [Int]
  /// Floats from one row to the next: more than a tensor's channels where it is some of the channels of
  /// a wider one.
  private(set) var rowStrides: [Int]
  /// Whether a tensor needs no computing beyond that of other tensors.
  private(set) var isView: [Bool]
  private var members: [[Int]]

  /// Finds views; no memory is written over yet.
  init(_ graph: PlanGraph) {
    roots = Array(graph.shapes.indices)
    offsets = [Int](repeating: 0, count: roots.count)
    rowStrides = graph.shapes.map(\.channels)
    isView = [Bool](repeating: false, count: roots.count)
    members = roots.map { [$0] }
    for step in graph.steps {
      guard case .value(let source) = step.operands[0] else { continue }
      if step.operation.aliasesInput {
        add(step.output, at: 0, in: source)
      } else if let slice = step.operation as? Slice,
        let start = slice.contiguousStart(in: graph.shapes[source]),
        (offsets[source] + start).isMultiple(of: ArenaLayout.alignment)
      {
        add(step.output, at: start, in: source)
      }
    }
    let (uses, producers) = (graph.useCounts(), graph.producers())
    for step in graph.steps {
      guard let join = step.operation as? Concatenate, roots[step.output] == step.output else {
        continue
      }
      if graph.shapes[step.output].dimensions.prefix(join.axis).allSatisfy({ $0 == 1 }) {
        placeBehindEachOther(step, graph, uses, producers)
      } else if join.axis == graph.shapes[step.output].rank - 1 {
        placeSideBySide(step, graph, producers)
      }
    }
  }

  /// Lets tensors that are joined along the outermost axis be parts of the whole.
  private mutating func placeBehindEachOther(
    _ step: Trace.Step, _ graph: PlanGraph, _ uses: [Int], _ producers: [Int]
  ) {
    var (parts, end) = ([(value: Int, offset: Int)](), 0)
    for operand in step.operands {
      guard case .value(let value) = operand, uses[value] == 1, roots[value] == value,
        producers[value] >= 0, end.isMultiple(of: ArenaLayout.alignment)
      else { return }
      parts.append((value, end))
      end += graph.shapes[value].count
    }
    for part in parts { merge(part.value, into: step.output, at: part.offset) }
    isView[step.output] = true
  }

  /// Lets tensors that are joined along the innermost axis be channels of the whole.
  ///
  /// Others may read them too, such as the next level of a network whose skip connections end in a
  /// concatenation; the whole then lives as long as they do.
  private mutating func placeSideBySide(
    _ step: Trace.Step, _ graph: PlanGraph, _ producers: [Int]
  ) {
    var (parts, end) = ([(value: Int, offset: Int)](), 0)
    for operand in step.operands {
      guard case .value(let value) = operand, roots[value] == value, members[value] == [value],
        !parts.contains(where: { $0.value == value }), producers[value] >= 0,
        graph.steps[producers[value]].operation.writesSpacedRows,
        !graph.outputs.contains(value),
        graph.steps.allSatisfy({ reader in
          reader.output == step.output
            || reader.operands.indices.allSatisfy { place in
              guard case .value(value) = reader.operands[place] else { return true }
              return reader.operation.readsSpacedRows(ofInput: place)
            }
        })
      else { return }
      parts.append((value, end))
      end += graph.shapes[value].channels
    }
    for part in parts {
      merge(part.value, into: step.output, at: part.offset)
      rowStrides[part.value] = end
    }
    isView[step.output] = true
  }

  private mutating func add(_ view: Int, at offset: Int, in source: Int) {
    merge(view, into: roots[source], at: offsets[source] + offset)
    isView[view] = true
  }

  private mutating func merge(_ value: Int, into root: Int, at offset: Int) {
    for member in members[value] {
      roots[member] = root
      offsets[member] += offset
    }
    members[root] += members[value]
    members[value] = []
  }

  /// Lets operations write over inputs that they read last.
  ///
  /// - Returns: For each root the last step that reads it, past the end for results.
  mutating func overwrite(_ graph: PlanGraph) -> [Int] {
    // For each tensor the last step that computes or reads it, past the end for results.
    var lastUse = [Int](repeating: -1, count: graph.shapes.count)
    for (index, step) in graph.steps.enumerated() {
      for case .value(let value) in step.operands { lastUse[value] = index }
      lastUse[step.output] = max(index, lastUse[step.output])
    }
    for output in graph.outputs { lastUse[output] = graph.steps.count }
    for (index, step) in graph.steps.enumerated()
    where !isView[step.output] && roots[step.output] == step.output {
      let shapes = graph.shapes(of: step)
      let sources = step.operands.map { operand -> Int? in
        if case .value(let value) = operand { value } else { nil }
      }
      let overwritten = sources.indices.first { place in
        guard let source = sources[place],
          graph.shapes[source].count == graph.shapes[step.output].count,
          rowStrides[source] == graph.shapes[source].channels,
          step.operation.canOverwrite(input: place, shapes)
        else { return false }
        let others = sources.indices.filter { other in
          sources[other].map { overlaps($0, source, graph) } ?? false
        }
        // A whole of which the input is a part counts as read where its parts are.
        return others == [place]
          && members[roots[source]].allSatisfy { member in
            lastUse[member] <= index || !overlaps(member, source, graph)
          }
      }
      guard let overwritten, let source = sources[overwritten] else { continue }
      merge(step.output, into: roots[source], at: offsets[source])
    }
    var lastOfRoot = [Int](repeating: -1, count: graph.shapes.count)
    for value in graph.shapes.indices {
      lastOfRoot[roots[value]] = max(lastOfRoot[roots[value]], lastUse[value])
    }
    return lastOfRoot
  }

  /// Whether two tensors share memory, or lie between each other's rows.
  private func overlaps(_ one: Int, _ other: Int, _ graph: PlanGraph) -> Bool {
    roots[one] == roots[other]
      && offsets[one] < offsets[other] + extent(other, graph)
      && offsets[other] < offsets[one] + extent(one, graph)
  }

  /// Floats from a tensor's beginning to its end.
  private func extent(_ value: Int, _ graph: PlanGraph) -> Int {
    let shape = graph.shapes[value]
    return max(0, shape.rows - 1) * rowStrides[value] + min(shape.count, shape.channels)
  }
}

extension Slice {
  /// Where a slice begins if its elements lie side by side in the whole; nil if they do not.
  fileprivate func contiguousStart(in whole: Shape) -> Int? {
    // Behind the first axis of which more than one entry is taken, all axes are taken whole.
    let first = ranges.firstIndex { $0.count != 1 } ?? ranges.endIndex
    let rest = ranges.indices.dropFirst(first + 1)
    guard rest.allSatisfy({ ranges[$0].count == whole.dimensions[$0] }), !ranges.isEmpty else {
      return nil
    }
    return zip(ranges, whole.strides).reduce(0) { $0 + $1.0.lowerBound * $1.1 }
  }
}
