// How many pieces a size is cut into: written once, for kernels, launchers and bindings alike.
#pragma once

#include "macros.h"

namespace netsculpt {

NS_HD int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
NS_HD int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

}  // namespace netsculpt
