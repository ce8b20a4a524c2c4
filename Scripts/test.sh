#!/usr/bin/env bash
# Builds in release and runs all tests, then those of the kernels once more per lower instruction
# set. Release because debug builds compile the C kernels without optimisation.
set -euo pipefail
cd "$(dirname "$0")/.."

swift build -c release --build-tests
swift test -c release --skip-build

if [[ $(uname -m) == x86_64 ]]; then
  for isa in avx2 base; do
    echo "test: kernels and tensor core with RESTORE_ISA=$isa"
    RESTORE_ISA=$isa swift test -c release --skip-build --filter 'KernelsTests|TensorCoreTests'
  done
fi
