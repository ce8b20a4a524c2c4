#!/usr/bin/env bash
# Restores a real MRI volume with the model that ships with the package.
#
# The scan belongs to a subject that the model never saw. Rician noise of 10 % is added, the noisy
# volume is restored slice by slice, and both are compared with the original. Results, among them a
# before / after / difference picture, are written to demo-output.
set -euo pipefail
cd "$(dirname "$0")/.."

restore=.build/release/restore
scan=data/scans/fernando_t2.nii.gz
model=data/models/mri-denoise
output=demo-output

mkdir -p "$output"
"$restore" simulate rician -i "$scan" -o "$output/noisy.nii.gz" --percent 10 --seed 0 --overwrite
"$restore" run -i "$output/noisy.nii.gz" -o "$output/restored.nii.gz" -m "$model" \
  --reference "$scan" --montage "$output/montage.png" --overwrite

cat <<TEXT

Restored volume:               $output/restored.nii.gz
Before / after / difference:   $output/montage.png
TEXT
