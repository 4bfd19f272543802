/* Put before every source of a shared library or a WebAssembly module (-include), which are compiled with
 * -fvisibility=hidden: what the API declares is seen from outside, and nothing else. */
#pragma GCC visibility push(default)
#include "edgebert.h"
#pragma GCC visibility pop
