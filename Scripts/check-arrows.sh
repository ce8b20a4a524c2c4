#!/usr/bin/env bash
# Checks that imports and the manifest follow the arrows of the package.
#
#   Scripts/check-arrows.sh              check this package
#   Scripts/check-arrows.sh --self-test  plant violations in a copy and require that each is found
#
# The arrows, drawn in docs/ARCHITECTURE.md:
#
#   restore -> Parity, Train -> Inference -> Models -> Layers -> TensorCore -> Kernels, Fourier, oneDNN
#                                  \----> Imaging -> Fourier, PNGBridge, CNIfTI, CZlib
#
# A target may import what stands below it. Imaging and Models never see each other: Inference is
# the only place where millimetres become tensor axes. Randomness is below everything.
set -euo pipefail
export LC_ALL=C

# Target: everything of this package and of other packages that it may import.
arrows='
restore: Benchmark SourceRevision Parity Train Inference Models Layers TensorCore Imaging Randomness ArgumentParser Logging
Benchmark: Train Models Layers TensorCore Kernels OneDNNBridge Randomness
Train: Inference Models Layers TensorCore Imaging Randomness Logging Yams
Parity: Inference Models Layers TensorCore Imaging Randomness
Inference: Models Layers TensorCore Imaging Randomness
Models: Layers TensorCore Randomness
Layers: TensorCore Randomness
TensorCore: Kernels Fourier OneDNNBridge Randomness
Imaging: Fourier PNGBridge CNIfTI CZlib Randomness
Fourier: CFFTW Randomness
OneDNNBridge: COneDNN
PNGBridge: CPNG
Kernels:
CNIfTI:
Randomness:
SourceRevision:
CFFTW:
COneDNN:
CPNG:
CZlib:
'
# Modules of the toolchain, allowed everywhere.
toolchain='Swift Foundation FoundationEssentials Dispatch Synchronization Glibc Musl Darwin'

# Prints what may be imported by target $1; fails if the table has no such row.
allowed() {
  grep "^$1:" <<<"$arrows" | cut -d: -f2
}

# Prints "file:line module" for each import in the Swift files of folder $1.
imports() {
  find "$1" -name '*.swift' -print0 | xargs -0 -r awk '
    {
      line = $0
      sub(/^[ \t]*/, "", line)
      # Attributes and access levels may precede the keyword, a kind of symbol may follow it.
      while (sub(/^(@[A-Za-z_]+|public|package|internal|fileprivate|private)[ \t]+/, "", line)) {}
      if (!sub(/^import[ \t]+/, "", line)) next
      sub(/^(typealias|struct|class|enum|protocol|let|var|func)[ \t]+/, "", line)
      sub(/[^A-Za-z0-9_].*$/, "", line)
      print FILENAME ":" FNR, line
    }'
}

# Prints "target dependency" for each edge of the manifest in folder $1, tests left out.
manifest_edges() {
  swift package --package-path "$1" dump-package | awk '
    /^  "targets" : \[/ { inside = 1 }
    !inside { next }
    wanted && match($0, /"[^"]+"/) {
      edges[++count] = substr($0, RSTART + 1, RLENGTH - 2)
      wanted = 0
    }
    /"(byName|product|target)" : \[/ { wanted = 1 }
    /^      "name" : / { split($0, parts, "\""); name = parts[4] }
    /^    }/ {
      if (name !~ /Tests$/ && name != "TestSupport") {
        print name, "-"
        for (i = 1; i <= count; i++) print name, edges[i]
      }
      count = 0
    }'
}

# Checks the package in folder $1; prints violations and returns 1 if there are any.
check() {
  local root=$1 failed=0 target permitted place module dependency
  for folder in "$root"/Sources/*/; do
    target=$(basename "$folder")
    if ! permitted=$(allowed "$target"); then
      echo "Sources/$target: no row in the table of Scripts/check-arrows.sh"
      failed=1
      continue
    fi
    while read -r place module; do
      case " $permitted $toolchain $target " in
        *" $module "*) ;;
        *) echo "${place#"$root"/}: $target must not import $module"; failed=1 ;;
      esac
    done < <(imports "$folder")
  done
  local edges
  edges=$(manifest_edges "$root")
  while read -r target dependency; do
    if ! permitted=$(allowed "$target"); then
      echo "Package.swift: target $target has no row in the table of Scripts/check-arrows.sh"
      failed=1
    elif [[ $dependency != - && " $permitted " != *" $dependency "* ]]; then
      echo "Package.swift: $target must not depend on $dependency"
      failed=1
    fi
  done <<<"$edges"
  return "$failed"
}

# Writes a small package with a clean target Imaging into folder $1; $2 are its dependencies.
plant() {
  mkdir -p "$1/Sources/Imaging" "$1/Sources/Models"
  cat >"$1/Package.swift" <<MANIFEST
// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "planted",
  targets: [.target(name: "Imaging", dependencies: [$2]), .target(name: "Models")])
MANIFEST
  echo 'import Foundation' >"$1/Sources/Imaging/Clean.swift"
  echo '// import Imaging' >"$1/Sources/Models/Clean.swift"
}

# Requires that checking folder $1 fails and says $2.
require_violation() {
  local output
  if output=$(check "$1"); then
    echo "self-test: not found: $2" >&2
    return 1
  fi
  if ! grep -qF "$2" <<<"$output"; then
    printf 'self-test: expected "%s", got:\n%s\n' "$2" "$output" >&2
    return 1
  fi
}

self_test() {
  local import
  folder=$(mktemp -d)  # not local: the trap outlives the function
  trap 'rm -rf "$folder"' EXIT

  plant "$folder/clean" ''
  if ! check "$folder/clean"; then
    echo 'self-test: a clean package was refused' >&2
    return 1
  fi

  plant "$folder/import" ''
  for import in 'import Models' '  public import Models' '@preconcurrency import struct Models.A'; do
    echo "$import" >"$folder/import/Sources/Imaging/Planted.swift"
    require_violation "$folder/import" \
      'Sources/Imaging/Planted.swift:1: Imaging must not import Models'
  done
  echo 'import Unknown' >"$folder/import/Sources/Imaging/Planted.swift"
  require_violation "$folder/import" 'Imaging must not import Unknown'

  plant "$folder/manifest" '"Models"'
  require_violation "$folder/manifest" 'Package.swift: Imaging must not depend on Models'

  plant "$folder/target" ''
  mkdir "$folder/target/Sources/Extra"
  require_violation "$folder/target" 'Sources/Extra: no row'
  echo 'arrows: all planted violations found'
}

case "${1:-}" in
  --self-test) self_test ;;
  '')
    check "$(cd "$(dirname "$0")/.." && pwd)"
    echo 'arrows: imports and manifest follow the table'
    ;;
  *)
    echo "usage: $0 [--self-test]" >&2
    exit 64
    ;;
esac
