// The op table: every schema of the library in one place, and the Python module whose import registers it.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../kernels/core/simd_level.h"
#include "common.h"

STABLE_TORCH_LIBRARY(netsculpt, m) {
  m.def("weighted_gram(Tensor x, Tensor q) -> Tensor");
  m.def("weighted_gram.out(Tensor x, Tensor q, *, bool accumulate, Tensor(a!) out) -> ()");
  m.def("weighted_normal(Tensor x, Tensor q, Tensor v) -> Tensor");
  m.def("eigh_extreme(Tensor s, str which, float tol) -> (Tensor, Tensor, Tensor)");
  m.def("lanczos_update(Tensor basis, Tensor r) -> (Tensor, Tensor, Tensor)");
  m.def("tridiagonal_extreme(Tensor alpha, Tensor beta) -> (Tensor, Tensor)");
  m.def("coupled_gram(Tensor cov, Tensor weights, int places) -> Tensor");
  m.def(
      "greedy_select(Tensor gram, Tensor? target, Tensor? target_energy, Tensor? lengths, Tensor? cost, int k, "
      "str mode, bool repeats, float ridge, float tolerance) -> (Tensor, Tensor, Tensor)");
  m.def("taylor_gain(Tensor a, Tensor g) -> Tensor");
  m.def("taylor_gain_params(Tensor[] params, Tensor[] grads, int[] dims) -> Tensor");
}

namespace {

PyObject* simd_level(PyObject*, PyObject*) { return PyUnicode_FromString(netsculpt::simd_level_name()); }

PyMethodDef methods[] = {
    {"simd_level", simd_level, METH_NOARGS, "The SIMD target in use: baseline, avx2 or avx512."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_C", "netsculpt's CPU ops.", -1, methods, nullptr, nullptr, nullptr, nullptr,
};

}  // namespace

// Importing the module loads the library, and loading it runs the registrations above.
extern "C" __attribute__((visibility("default"))) PyObject* PyInit__C() { return PyModule_Create(&module_def); }
