#pragma once

#include <cuda_runtime_api.h>

#include "weighted_gram.h"

namespace netsculpt {

// How the CUDA op cuts its work: a block sums one chunk of rows of one tile. It depends on the sizes only.
struct WeightedGramGrid {
  int64_t side_tiles, pair_tiles, unit_tiles, tiles;  // along a matrix, of its triangle, of units, of all
  int64_t chunk_rows, chunks;
  int64_t partial_values;  // of the result's type: the sums of all blocks
};

WeightedGramGrid weighted_gram_grid(const WeightedGramArgs& a);
cudaError_t weighted_gram_launch(const WeightedGramArgs& a, const WeightedGramGrid& grid, void* partial,
                                 cudaStream_t stream);

}  // namespace netsculpt
