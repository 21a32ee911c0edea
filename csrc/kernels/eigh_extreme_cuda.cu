#include "core/cuda_team.cuh"
#include "eigh_extreme_cuda.h"

namespace netsculpt {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kSharedLimit = 48 * 1024;  // what every GPU gives a block without asking

// Bytes of one matrix's scratch: the pair's doubles first, so that both parts are aligned.
int64_t bytes_per_matrix(int64_t d, bool float64) {
  const int64_t direct =
      NS_TARGET::eigh_direct_scratch(d) * static_cast<int64_t>(float64 ? sizeof(double) : sizeof(float));
  return (2 * d * static_cast<int64_t>(sizeof(double)) + direct + 15) / 16 * 16;
}

int64_t shared_bytes(int64_t d, bool float64) {
  const int64_t bytes = bytes_per_matrix(d, float64);
  return bytes + 1024 <= kSharedLimit ? bytes : 0;  // the team's own shared memory fits in the kilobyte
}

// T the matrices' type, C the type computed in. `global` is null where the scratch is in shared memory.
template <class T, class C>
__global__ void __launch_bounds__(kThreads, 2)
    eigh_extreme_kernel(EighExtremeArgs a, int64_t begin, char* global, int64_t bytes) {
  __shared__ BlockTeam<kThreads>::Shared shared;
  extern __shared__ __align__(16) char dynamic[];
  char* scratch = global == nullptr ? dynamic : global + blockIdx.x * bytes;
  double* pair = reinterpret_cast<double*>(scratch);
  C* direct = reinterpret_cast<C*>(pair + 2 * a.size);
  NS_TARGET::eigh_extreme_body<T>(BlockTeam<kThreads>{&shared}, a, begin + blockIdx.x, direct, pair);
}

}  // namespace

int64_t eigh_extreme_cuda_scratch(const EighExtremeArgs& a, int64_t matrices, bool float64) {
  const bool wide = float64 || a.dtype == Dtype::kFloat64;
  return shared_bytes(a.size, wide) > 0 ? 0 : matrices * bytes_per_matrix(a.size, wide);
}

cudaError_t eigh_extreme_launch(const EighExtremeArgs& a, int64_t begin, int64_t end, bool float64, void* scratch,
                                cudaStream_t stream) {
  if (begin == end) return cudaSuccess;
  const bool wide = float64 || a.dtype == Dtype::kFloat64;
  const unsigned blocks = static_cast<unsigned>(end - begin);
  const size_t shared = static_cast<size_t>(shared_bytes(a.size, wide));
  const int64_t bytes = bytes_per_matrix(a.size, wide);
  char* global = shared > 0 ? nullptr : static_cast<char*>(scratch);
  if (a.dtype == Dtype::kFloat64)
    eigh_extreme_kernel<double, double><<<blocks, kThreads, shared, stream>>>(a, begin, global, bytes);
  else if (float64)
    eigh_extreme_kernel<float, double><<<blocks, kThreads, shared, stream>>>(a, begin, global, bytes);
  else
    eigh_extreme_kernel<float, float><<<blocks, kThreads, shared, stream>>>(a, begin, global, bytes);
  return cudaGetLastError();
}

cudaError_t eigh_extreme_status(const EighExtremeArgs& a, int32_t* host, cudaStream_t stream) {
  if (a.count == 0) return cudaSuccess;
  const size_t bytes = static_cast<size_t>(a.count) * sizeof(int32_t);
  const cudaError_t error = cudaMemcpyAsync(host, a.status, bytes, cudaMemcpyDeviceToHost, stream);
  return error == cudaSuccess ? cudaStreamSynchronize(stream) : error;
}

}  // namespace netsculpt
