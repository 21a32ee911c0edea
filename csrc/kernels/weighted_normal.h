// weighted_normal: out_k = sum over rows p of x_p q[p,k] (x_p . v_k), for every unit k of every group.
#pragma once

#include "core/dtype.h"
#include "core/simd_level.h"
#include "core/team.h"

namespace netsculpt {

// Sizes: rows n, groups g, units m per group, width d. Strides are in elements.
struct WeightedNormalArgs {
  const void* x;  // [rows, groups, width], any strides
  const void* q;  // [rows, groups, units], any strides, of x's type
  const void* v;  // [groups, units, width], any strides, of x's type or the result's
  void* out;      // [groups, units, width], contiguous, float32, or float64 for float64 x
  int64_t rows, groups, units, width;
  int64_t x_row, x_group, x_col;
  int64_t q_row, q_group, q_col;
  int64_t v_group, v_unit, v_col;
  Dtype dtype, v_dtype;
};

// How the CPU op cuts its work. It depends on the sizes only, never on the number of threads, and so do
// the bits of the result. An item is one chunk of rows of one tile of groups and units.
struct WeightedNormalPlan {
  int64_t row_tile, group_tile, unit_tile, unit_panel, x_panel, chunk_rows, chunks;
  int64_t items, panels;  // panels: pieces of v, packed before the items run
  int64_t panel_size;     // values of a packed panel
  int64_t out_row;        // values of a padded row of a chunk's sums
  int64_t scratch_bytes, packed_bytes, partial_bytes;
};

}  // namespace netsculpt

NS_DECLARE_CPU(WeightedNormalPlan, weighted_normal_plan, (const WeightedNormalArgs& a), (a))
NS_DECLARE_CPU(void, weighted_normal_pack,
               (const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t panel, void* packed),
               (a, plan, panel, packed))
// One item: its chunk's sums, into partial.
NS_DECLARE_CPU(void, weighted_normal_cpu,
               (const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t item, const void* packed,
                void* scratch, void* partial),
               (a, plan, item, packed, scratch, partial))
// Row k of groups * units of the result: the chunks, added in their order.
NS_DECLARE_CPU(void, weighted_normal_finish,
               (const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t k, const void* partial),
               (a, plan, k, partial))
