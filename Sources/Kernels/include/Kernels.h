/// The engine's own compute loops. C validates nothing and allocates nothing: callers check shapes,
/// own all memory and split the work over threads.
#ifndef RESTORE_KERNELS_H
#define RESTORE_KERNELS_H

#include "adaptive.h"
#include "blend.h"
#include "depthwise.h"
#include "dispatch.h"
#include "elementwise.h"
#include "gated_delta.h"
#include "gate.h"
#include "gemm.h"
#include "gemm_bf16.h"
#include "move.h"
#include "norm.h"
#include "optimizer.h"
#include "peak.h"
#include "pool.h"
#include "reduce.h"
#include "resize.h"
#include "shift.h"
#include "spectral.h"
#include "wavelet.h"
#include "tvconv.h"
#include "windows.h"
#include "wkv.h"

#endif
