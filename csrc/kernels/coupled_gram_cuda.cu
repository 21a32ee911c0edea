#include "core/cuda_team.cuh"
#include "coupled_gram_cuda.h"

namespace netsculpt {
namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void __launch_bounds__(kThreads) coupled_gram_kernel(CoupledGramArgs a) {
  __shared__ typename BlockTeam<kThreads>::Shared shared;
  NS_TARGET::coupled_gram_body<T>(BlockTeam<kThreads>{&shared}, a, blockIdx.x);
}

}  // namespace

cudaError_t coupled_gram_launch(const CoupledGramArgs& a, cudaStream_t stream) {
  if (a.units == 0) return cudaSuccess;
  if (a.dtype == Dtype::kFloat64)
    coupled_gram_kernel<double><<<static_cast<unsigned>(a.units), kThreads, 0, stream>>>(a);
  else
    coupled_gram_kernel<float><<<static_cast<unsigned>(a.units), kThreads, 0, stream>>>(a);
  return cudaGetLastError();
}

}  // namespace netsculpt
