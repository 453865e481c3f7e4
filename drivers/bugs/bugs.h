/* What the drivers with known defects share. */
#ifndef BUGS_H
#define BUGS_H

#include "../tests/common.h"

/* "CugB". */
#define TAG 0x42677543

#endif
