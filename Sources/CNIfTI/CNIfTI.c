// The module only forwards libnifti2; a C target needs one translation unit.
#include "CNIfTI.h"
