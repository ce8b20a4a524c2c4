#include "include/SourceRevision.h"

const char *source_revision(void) { return RESTORE_REVISION; }
