/* Conformance of registration and removal, for an image without FORCE_INTEGRITY. */
#include "registration.c"
