#pragma once

#include <cuda_runtime_api.h>

#include "taylor_gain.h"

namespace netsculpt {

// The plan that taylor_gain_launch expects; partial then has kinds * channels * pieces doubles.
TaylorPlan taylor_gain_cuda_plan(const TaylorView& view);

cudaError_t taylor_gain_launch(const TaylorGainArgs& a, cudaStream_t stream);

}  // namespace netsculpt
