#!/usr/bin/env bash
# Sets up what the build needs: the system libraries and a check of the Swift toolchain.
#
# Libraries that are present are left alone, wherever they come from. Missing ones are installed
# with apt-get, through sudo when not root. Where that is impossible, one line says what to run.
set -euo pipefail

fail() {
  echo "setup: $*" >&2
  exit 1
}

# MARK: - Swift

if ! command -v swift >/dev/null; then
  fail 'Swift 6.0 or newer is needed and not on the PATH; see https://www.swift.org/install'
fi
version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
if [[ -z $version || ${version%%.*} -lt 6 ]]; then
  fail "Swift 6.0 or newer is needed, found ${version:-no version}; see https://www.swift.org/install"
fi

# MARK: - System libraries

# Debian package: header that proves its presence.
libraries='
libfftw3-dev fftw3.h
libpng-dev png.h
libnifti-dev nifti/nifti2_io.h
libdnnl-dev dnnl.h
zlib1g-dev zlib.h
'

compiler=$(command -v clang || command -v cc || command -v gcc) ||
  fail 'no C compiler on the PATH; clang is part of the Swift toolchain'

has_header() {
  printf '#include <stdio.h>\n#include <%s>\n' "$1" |
    "$compiler" -E -x c -idirafter /usr/include/nifti - >/dev/null 2>&1
}

find_missing() {
  missing=()
  command -v git >/dev/null || missing+=(git)  # fetches the Swift packages
  local package header
  while read -r package header; do
    [[ -z $package ]] || has_header "$header" || missing+=("$package")
  done <<<"$libraries"
}

find_missing
[[ ${#missing[@]} -eq 0 ]] && exit 0

by_hand="install ${missing[*]} by hand, on Debian as root: apt-get install ${missing[*]}"
command -v apt-get >/dev/null || fail "there is no apt-get here; $by_hand"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null || fail "neither root nor sudo; $by_hand"
  # Without a terminal nobody could type a password.
  if [[ -t 0 ]]; then as_root=(sudo); else as_root=(sudo -n); fi
fi

echo "setup: installing ${missing[*]}" >&2
install() {
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}
update() { ${as_root[@]+"${as_root[@]}"} apt-get update -q >&2; }
# The package lists may be absent or out of date: then refresh them and try once more.
install || { update && install; } || fail "apt-get failed; $by_hand"

find_missing
[[ ${#missing[@]} -eq 0 ]] || fail "still missing after installation: ${missing[*]}"
