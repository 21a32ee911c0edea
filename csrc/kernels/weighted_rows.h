// What weighted_gram and weighted_normal sum over: rows of inputs x, and how much each counts for every unit.
#pragma once

#include "core/dtype.h"
#include "core/sizes.h"

namespace netsculpt {

// Sizes: rows n, groups g, units m per group, width d. Strides are in elements.
struct WeightedRows {
  const void* x;  // [rows, groups, width], any strides
  const void* q;  // [rows, groups, units], any strides, of x's type
  int64_t rows, groups, units, width;
  int64_t x_row, x_group, x_col;
  int64_t q_row, q_group, q_col;
  Dtype dtype;
};

}  // namespace netsculpt
