#include "core/cuda_team.cuh"
#include "weighted_normal_cuda.h"

namespace netsculpt {
namespace {

using NS_TARGET::kNormalRows;
using NS_TARGET::kNormalUnits;

constexpr int kThreads = 128;
constexpr int kBlocksTogether = 4;       // on a multiprocessor: leaves 128 registers a thread
constexpr int64_t kBlocks = 512;         // a few for each multiprocessor of a large GPU
constexpr int kPlainShared = 48 * 1024;  // what every kernel may use without asking
constexpr int kMostShared = 99 * 1024;   // what every architecture since 8.0 gives a block that asks
constexpr int64_t kMostChunks = 65535;

template <class S, int kCols>
__global__ void __launch_bounds__(kThreads, kBlocksTogether)
    weighted_normal_kernel(WeightedNormalArgs a, WeightedNormalGrid grid, int64_t slabs,
                           typename ComputeType<S>::type* partial) {
  using T = typename ComputeType<S>::type;
  __shared__ typename BlockTeam<kThreads>::Shared shared;
  extern __shared__ double scratch[];
  NS_TARGET::NormalTile t;
  t.unit = blockIdx.x % grid.unit_tiles * kNormalUnits;
  t.group = blockIdx.x / grid.unit_tiles;
  t.begin = blockIdx.y * grid.chunk_rows;
  t.end = min(a.rows, t.begin + grid.chunk_rows);
  t.slabs = slabs;
  T* sums = partial + (blockIdx.y * grid.tiles + blockIdx.x) * (kNormalUnits * a.width);
  NS_TARGET::normal_tile_body<S, kCols>(BlockTeam<kThreads>{&shared}, a, t, reinterpret_cast<T*>(scratch), sums);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    finish_kernel(WeightedNormalArgs a, WeightedNormalGrid grid, const T* partial) {
  const int64_t total = a.groups * a.units * a.width, step = grid.tiles * kNormalUnits * a.width;
  for (int64_t e = blockIdx.x * int64_t{kThreads} + threadIdx.x; e < total; e += int64_t{kThreads} * gridDim.x) {
    const int64_t k = e / a.width, group = k / a.units;
    const int64_t row = group * grid.unit_tiles * kNormalUnits + k % a.units;
    double sum = 0;
    for (int64_t c = 0; c < grid.chunks; ++c)
      sum += static_cast<double>(partial[c * step + row * a.width + e % a.width]);
    static_cast<T*>(a.out)[e] = static_cast<T>(sum);
  }
}

template <class S, int kCols>
cudaError_t launch_chunks(const WeightedNormalArgs& a, const WeightedNormalGrid& grid, void* partial,
                          cudaStream_t stream) {
  using T = typename ComputeType<S>::type;
  int64_t slabs = ceil_div(a.width, kCols);
  if (NS_TARGET::normal_scratch<T, kCols>(slabs) * int64_t{sizeof(T)} > kMostShared) slabs = 1;
  int bytes = static_cast<int>(NS_TARGET::normal_scratch<T, kCols>(slabs) * sizeof(T));
  if (bytes > kPlainShared && cudaFuncSetAttribute(weighted_normal_kernel<S, kCols>,
                                                   cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) != cudaSuccess) {
    cudaGetLastError();  // a GPU with less shared memory: forget the refusal, and read x twice
    slabs = 1;
    bytes = static_cast<int>(NS_TARGET::normal_scratch<T, kCols>(slabs) * sizeof(T));
  }
  const dim3 blocks(static_cast<unsigned>(grid.tiles), static_cast<unsigned>(grid.chunks));
  weighted_normal_kernel<S, kCols><<<blocks, kThreads, bytes, stream>>>(a, grid, slabs, static_cast<T*>(partial));
  return cudaGetLastError();
}

template <class S>
cudaError_t launch(const WeightedNormalArgs& a, const WeightedNormalGrid& grid, void* partial, cudaStream_t stream) {
  using T = typename ComputeType<S>::type;
  if (grid.chunks > 0) {
    const cudaError_t error =
        a.width <= 32 ? launch_chunks<S, 32>(a, grid, partial, stream) : launch_chunks<S, 64>(a, grid, partial, stream);
    if (error != cudaSuccess) return error;
  }
  const int64_t values = a.groups * a.units * a.width;
  const auto blocks = static_cast<unsigned>(min(ceil_div(values, kThreads), int64_t{1} << 20));
  finish_kernel<T><<<blocks, kThreads, 0, stream>>>(a, grid, static_cast<const T*>(partial));
  return cudaGetLastError();
}

}  // namespace

WeightedNormalGrid weighted_normal_grid(const WeightedNormalArgs& a) {
  WeightedNormalGrid grid{};
  const int64_t rows = a.dtype == Dtype::kFloat64 ? kNormalRows<double> : kNormalRows<float>;
  grid.unit_tiles = ceil_div(a.units, kNormalUnits);
  grid.tiles = grid.unit_tiles * a.groups;
  if (grid.tiles == 0 || a.rows == 0 || a.width == 0) return grid;
  const int64_t wanted = max(int64_t{1}, min(ceil_div(kBlocks, grid.tiles), a.rows / rows));
  grid.chunk_rows = ceil_div(ceil_div(a.rows, min(wanted, kMostChunks)), rows) * rows;
  grid.chunks = ceil_div(a.rows, grid.chunk_rows);
  grid.partial_values = grid.chunks * grid.tiles * kNormalUnits * a.width;
  return grid;
}

cudaError_t weighted_normal_launch(const WeightedNormalArgs& a, const WeightedNormalGrid& grid, void* partial,
                                   cudaStream_t stream) {
  if (grid.tiles == 0 || a.width == 0) return cudaSuccess;
  if (grid.tiles > INT32_MAX) return cudaErrorInvalidConfiguration;
  switch (a.dtype) {
    case Dtype::kFloat64: return launch<double>(a, grid, partial, stream);
    case Dtype::kFloat32: return launch<float>(a, grid, partial, stream);
    case Dtype::kBFloat16: return launch<BFloat16>(a, grid, partial, stream);
    default: return launch<Float16>(a, grid, partial, stream);
  }
}

}  // namespace netsculpt
