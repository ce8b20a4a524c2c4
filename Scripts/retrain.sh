#!/bin/sh
# Repeats the training of a shipped model, part by part, as its card says.
#
#   Scripts/retrain.sh NAME [FOLDER]     in FOLDER (default: retrain-NAME), which must not be there
#   Scripts/retrain.sh --print NAME      prints the commands
#
# Takes hours (the card says how many). Weights of earlier versions come from the repository's history.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
is_printed=false
if [ "${1:-}" = --print ]; then
  is_printed=true
  shift
fi
name=${1:?"usage: Scripts/retrain.sh [--print] NAME [FOLDER]"}
card="$root/data/models/$name/README.md"
if [ ! -f "$card" ]; then
  echo "no card: $card" >&2
  exit 66
fi
# The first block of code after the sentence that begins with "Repeat the training".
commands=$(awk '/^Repeat the training/ { found = 1 }
  found && /^```/ { if (inside) exit; inside = 1; next }
  inside { print }' "$card")
if [ -z "$commands" ]; then
  echo "the card says no commands: $card" >&2
  exit 65
fi
if $is_printed; then
  printf '%s\n' "$commands"
  exit 0
fi
folder=${2:-retrain-$name}
mkdir "$folder"
cd "$folder"
# The commands name files of the repository and `restore`.
ln -s "$root/data" data
ln -s "$root/Benchmarks" Benchmarks
PATH="$root/.build/release:$PATH"
GIT_DIR=$(git -C "$root" rev-parse --absolute-git-dir)
export PATH GIT_DIR
printf '%s\n' "$commands" | sh -eux
