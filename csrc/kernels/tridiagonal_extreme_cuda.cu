#include "core/cuda_team.cuh"
#include "tridiagonal_extreme_cuda.h"

namespace netsculpt {
namespace {

template <class T>
__global__ void __launch_bounds__(kWarp, 1) tridiagonal_extreme_kernel(TridiagonalExtremeArgs a, T* scratch) {
  const int64_t m = blockIdx.x;
  NS_TARGET::tridiagonal_extreme_body(WarpTeam{}, a, m, scratch + m * 8 * a.size);
}

}  // namespace

cudaError_t tridiagonal_extreme_launch(const TridiagonalExtremeArgs& a, void* scratch, cudaStream_t stream) {
  if (a.count == 0) return cudaSuccess;
  const unsigned blocks = static_cast<unsigned>(a.count);
  if (a.dtype == Dtype::kFloat64)
    tridiagonal_extreme_kernel<<<blocks, kWarp, 0, stream>>>(a, static_cast<double*>(scratch));
  else
    tridiagonal_extreme_kernel<<<blocks, kWarp, 0, stream>>>(a, static_cast<float*>(scratch));
  return cudaGetLastError();
}

}  // namespace netsculpt
