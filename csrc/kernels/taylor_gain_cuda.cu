#include "core/cuda_team.cuh"
#include "taylor_gain_cuda.h"

namespace netsculpt {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kRowPositions = 2048;   // of a channel in a piece, at least: its four sums are then 0.4 % of it
constexpr int64_t kColumnPositions = 64;  // of a rank, at least
constexpr int64_t kColumnBlocks = 1024;   // wanted, where there is enough to do: a few for every multiprocessor
constexpr int64_t kShortRow = 64;         // rows shorter than this are added up by eight lanes, not by a warp
constexpr int64_t kMaxGrid = (1ll << 31) - 1;

// 2, 4, ... or 32 lanes of a warp, side by side.
template <int kLanes>
struct LaneTeam {
  __device__ int rank() const { return threadIdx.x % kLanes; }
  __device__ int size() const { return kLanes; }

  template <class T>
  __device__ T sum(T x) const {
    const unsigned mask = kFullMask >> (kWarp - kLanes) << (threadIdx.x % kWarp / kLanes * kLanes);
    for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(mask, x, step);
    return x;
  }
};

template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads) taylor_row_kernel(const __grid_constant__ TaylorGainArgs a) {
  const int64_t unit = (blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x) / kLanes;
  if (unit >= a.plan.pieces * a.view.channels) return;
  NS_TARGET::taylor_row_body<T>(LaneTeam<kLanes>{}, a, unit / a.view.channels, unit % a.view.channels);
}

template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    taylor_column_kernel(const __grid_constant__ TaylorGainArgs a, int64_t tiles, int64_t width) {
  __shared__ typename BlockTeam<kThreads>::Shared shared;
  __shared__ double values[kTaylorKinds * kThreads];
  const int64_t piece = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  NS_TARGET::taylor_column_body<T>(BlockTeam<kThreads>{&shared}, a, piece, tile, width, values);
}

__global__ void __launch_bounds__(kThreads) taylor_combine_kernel(const __grid_constant__ TaylorGainArgs a) {
  __shared__ typename BlockTeam<kThreads>::Shared shared;
  NS_TARGET::taylor_combine_body(BlockTeam<kThreads>{&shared}, a, blockIdx.x);
}

int64_t column_width(const TaylorView& v) { return v.channels < kThreads ? v.channels : kThreads; }

template <class T>
cudaError_t launch_pieces(const TaylorGainArgs& a, cudaStream_t stream) {
  const int64_t width = column_width(a.view), tiles = ceil_div(a.view.channels, width);
  const bool short_rows = a.view.slice.inner < kShortRow;
  const int64_t lanes = a.plan.pieces * a.view.channels * (short_rows ? 8 : kWarp);
  const int64_t blocks = a.view.slice.by_row ? ceil_div(lanes, kThreads) : a.plan.pieces * tiles;
  if (blocks > kMaxGrid) return cudaErrorInvalidConfiguration;
  const unsigned grid = static_cast<unsigned>(blocks);
  if (!a.view.slice.by_row)
    taylor_column_kernel<T><<<grid, kThreads, 0, stream>>>(a, tiles, width);
  else if (short_rows)
    taylor_row_kernel<T, 8><<<grid, kThreads, 0, stream>>>(a);
  else
    taylor_row_kernel<T, kWarp><<<grid, kThreads, 0, stream>>>(a);
  return cudaGetLastError();
}

}  // namespace

TaylorPlan taylor_gain_cuda_plan(const TaylorView& v) {
  if (v.slice.by_row || v.channels == 0) return taylor_plan(v, kRowPositions, 1);
  const int64_t width = column_width(v), groups = kThreads / width, tiles = ceil_div(v.channels, width);
  const int64_t positions = v.samples * v.slice.outer, pieces = ceil_div(kColumnBlocks, tiles);
  const int64_t fewest = kColumnPositions * groups, wanted = ceil_div(positions, pieces);
  return taylor_plan(v, wanted > fewest ? wanted : fewest, groups);
}

cudaError_t taylor_gain_launch(const TaylorGainArgs& a, cudaStream_t stream) {
  if (a.view.channels == 0) return cudaSuccess;
  cudaError_t error = cudaSuccess;
  if (a.plan.pieces > 0) for_dtype(a.view.slice.dtype, [&](auto t) { error = launch_pieces<decltype(t)>(a, stream); });
  if (error != cudaSuccess) return error;
  taylor_combine_kernel<<<static_cast<unsigned>(a.view.channels), kThreads, 0, stream>>>(a);
  return cudaGetLastError();
}

}  // namespace netsculpt
