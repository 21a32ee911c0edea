// First line of every *_cpu.cpp. Standard headers come before the pragma, so that their inline functions
// keep the baseline instruction set; everything after it is compiled for NS_TARGET (set by setup.py).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(NS_TARGET_AVX512)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2,prefer-vector-width=512")
#define NS_VECTOR_BYTES 64
#elif defined(NS_TARGET_AVX2)
#pragma GCC target("avx2,fma,f16c,bmi2")
#define NS_VECTOR_BYTES 32
#else
#define NS_VECTOR_BYTES 16
#endif

#include "macros.h"
