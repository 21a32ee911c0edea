#pragma once

#include <cuda_runtime_api.h>

#include "taylor_gain_params.h"

namespace netsculpt { cudaError_t taylor_gain_params_launch(const TaylorParamsArgs& a, cudaStream_t stream); }
