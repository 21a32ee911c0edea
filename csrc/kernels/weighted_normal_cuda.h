#pragma once

#include <cuda_runtime_api.h>

#include "weighted_normal.h"

namespace netsculpt {

// How the CUDA op cuts its work: a block sums one chunk of rows of one tile of units. It depends on the sizes only.
struct WeightedNormalGrid {
  int64_t unit_tiles, tiles;  // of one group, of all
  int64_t chunk_rows, chunks;
  int64_t partial_values;  // of the result's type: the sums of all blocks
};

WeightedNormalGrid weighted_normal_grid(const WeightedNormalArgs& a);
cudaError_t weighted_normal_launch(const WeightedNormalArgs& a, const WeightedNormalGrid& grid, void* partial,
                                   cudaStream_t stream);

}  // namespace netsculpt
