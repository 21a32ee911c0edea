#pragma once

#include <cuda_runtime_api.h>

#include "greedy_select.h"

namespace netsculpt { cudaError_t greedy_select_launch(const GreedySelectArgs& a, cudaStream_t stream); }
