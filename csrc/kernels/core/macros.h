// What every kernel file needs: which functions a GPU may call, and which SIMD target is being compiled.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define NS_HD __host__ __device__ __forceinline__
#else
#define NS_HD inline __attribute__((always_inline))
#endif

#define NS_RESTRICT __restrict__

// Before a short loop of fixed length whose variables must live in registers.
#if defined(__CUDACC__)
#define NS_UNROLL _Pragma("unroll")
#else
#define NS_UNROLL _Pragma("GCC unroll 16")
#endif

// The namespace of the bodies. setup.py compiles every *_cpu.cpp once per SIMD target, and each target
// has its own namespace, so the linker can never mix an AVX-512 copy of an inline function into the
// baseline build. CUDA files and tests use the default.
#ifndef NS_TARGET
#define NS_TARGET portable
#endif
