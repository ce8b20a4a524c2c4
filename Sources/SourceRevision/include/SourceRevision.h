/// Which state of the sources this program was built from.
#ifndef RESTORE_SOURCE_REVISION_H
#define RESTORE_SOURCE_REVISION_H

/// What `git describe --always --dirty` said when `make` built the program; `unknown` after a plain
/// `swift build`, which has no way to tell.
const char *source_revision(void);

#endif
