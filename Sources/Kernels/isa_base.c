// All kernels compiled for level `base`.
#define K_LEVEL 0
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "all_impl.h"
