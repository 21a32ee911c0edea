#include "core/cuda_team.cuh"
#include "weighted_gram_cuda.h"

namespace netsculpt {
namespace {

using NS_TARGET::kGramSide;
using NS_TARGET::kGramUnits;

constexpr int kThreads = 128;  // two (i, j) a thread share its loads of q
constexpr int kEntries = kGramSide * kGramSide;
constexpr int64_t kBlocks = 1024;    // a few for each multiprocessor of a large GPU
constexpr int64_t kChunkRows = 256;  // fewest rows worth a block
constexpr int64_t kMostChunks = 1024;

template <class S, class A>
__global__ void __launch_bounds__(kThreads)
    weighted_gram_kernel(WeightedGramArgs a, WeightedGramGrid grid, A* partial) {
  using T = typename ComputeType<S>::type;
  __shared__ typename BlockTeam<kThreads>::Shared shared;
  __shared__ T scratch[NS_TARGET::kGramScratch];
  int64_t pair = blockIdx.x % grid.pair_tiles, j = 0;
  const int64_t unit_tile = blockIdx.x / grid.pair_tiles;
  for (; pair > j; ++j) pair -= j + 1;  // tile row `pair` of tile column j
  NS_TARGET::GramTile t;
  t.i = pair * kGramSide;
  t.j = j * kGramSide;
  t.unit = unit_tile % grid.unit_tiles * kGramUnits;
  t.group = unit_tile / grid.unit_tiles;
  t.begin = blockIdx.y * grid.chunk_rows;
  t.end = min(a.rows, t.begin + grid.chunk_rows);
  A* sums = partial + (blockIdx.y * grid.tiles + blockIdx.x) * (kGramUnits * kEntries);
  NS_TARGET::gram_tile_body<S, A, kEntries / kThreads>(BlockTeam<kThreads>{&shared}, a, t, scratch, sums);
}

// Both triangles add the same numbers in the same order: symmetric to the bit.
template <class A>
__global__ void __launch_bounds__(kThreads) finish_kernel(WeightedGramArgs a, WeightedGramGrid grid, const A* partial) {
  const int64_t size = a.width * a.width, total = a.groups * a.units * size;
  A* out = static_cast<A*>(a.out);
  for (int64_t e = blockIdx.x * int64_t{kThreads} + threadIdx.x; e < total; e += int64_t{kThreads} * gridDim.x) {
    const int64_t k = e / size, row = e % size / a.width, col = e % a.width;
    const int64_t i = min(row, col), j = max(row, col), tj = j / kGramSide;
    const int64_t unit = k % a.units;
    const int64_t tile =
        (k / a.units * grid.unit_tiles + unit / kGramUnits) * grid.pair_tiles + tj * (tj + 1) / 2 + i / kGramSide;
    const int64_t at = unit % kGramUnits * kEntries + i % kGramSide * kGramSide + j % kGramSide;
    const A* from = partial + tile * (kGramUnits * kEntries) + at;
    A sum = 0;
    for (int64_t c = 0; c < grid.chunks; ++c) sum += from[c * grid.tiles * (kGramUnits * kEntries)];
    out[e] = a.accumulate ? out[e] + sum : sum;
  }
}

template <class S, class A>
cudaError_t launch(const WeightedGramArgs& a, const WeightedGramGrid& grid, void* partial, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(grid.tiles), static_cast<unsigned>(grid.chunks));
  if (grid.chunks > 0) weighted_gram_kernel<S, A><<<blocks, kThreads, 0, stream>>>(a, grid, static_cast<A*>(partial));
  const int64_t values = a.groups * a.units * a.width * a.width;
  const auto finish_blocks = static_cast<unsigned>(min(ceil_div(values, kThreads), int64_t{1} << 20));
  finish_kernel<A><<<finish_blocks, kThreads, 0, stream>>>(a, grid, static_cast<const A*>(partial));
  return cudaGetLastError();
}

}  // namespace

WeightedGramGrid weighted_gram_grid(const WeightedGramArgs& a) {
  WeightedGramGrid grid{};
  grid.side_tiles = ceil_div(a.width, kGramSide);
  grid.pair_tiles = grid.side_tiles * (grid.side_tiles + 1) / 2;
  grid.unit_tiles = ceil_div(a.units, kGramUnits);
  grid.tiles = grid.pair_tiles * grid.unit_tiles * a.groups;
  if (grid.tiles == 0 || a.rows == 0) return grid;
  const int64_t wanted = max(int64_t{1}, min(min(ceil_div(kBlocks, grid.tiles), kMostChunks), a.rows / kChunkRows));
  grid.chunk_rows = ceil_div(a.rows, wanted);
  grid.chunks = ceil_div(a.rows, grid.chunk_rows);
  grid.partial_values = grid.chunks * grid.tiles * kGramUnits * kEntries;
  return grid;
}

cudaError_t weighted_gram_launch(const WeightedGramArgs& a, const WeightedGramGrid& grid, void* partial,
                                 cudaStream_t stream) {
  if (grid.tiles == 0) return cudaSuccess;
  if (grid.tiles > INT32_MAX) return cudaErrorInvalidConfiguration;
  const bool wide = a.out_dtype == Dtype::kFloat64;
  switch (a.dtype) {
    case Dtype::kFloat64: return launch<double, double>(a, grid, partial, stream);
    case Dtype::kFloat32:
      return wide ? launch<float, double>(a, grid, partial, stream) : launch<float, float>(a, grid, partial, stream);
    case Dtype::kBFloat16:
      return wide ? launch<BFloat16, double>(a, grid, partial, stream)
                  : launch<BFloat16, float>(a, grid, partial, stream);
    default:
      return wide ? launch<Float16, double>(a, grid, partial, stream)
                  : launch<Float16, float>(a, grid, partial, stream);
  }
}

}  // namespace netsculpt
