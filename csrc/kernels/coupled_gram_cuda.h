#pragma once

#include <cuda_runtime_api.h>

#include "coupled_gram.h"

namespace netsculpt { cudaError_t coupled_gram_launch(const CoupledGramArgs& a, cudaStream_t stream); }
