/* cpu_kernel_table - the kernels of one instruction set and precision by name. */
#include "cpu_vector.h"

#define ENTRY_1(result, name, ...) result name(__VA_ARGS__);
#define ENTRY(result, name, ...) ENTRY_1(result, CPU_NAME(cpu_##name), __VA_ARGS__)

ENTRY(int64_t, direct_floats, const CpuDirect *)
ENTRY(int64_t, direct_pack_items, const CpuDirect *)
ENTRY(void, direct_pack, const CpuDirect *, const CpuWeights *, float *, int64_t)
ENTRY(int64_t, direct_scratch, const CpuDirect *)
ENTRY(void, direct_box, const CpuDirect *, int64_t, float *)
ENTRY(int64_t, gradient_scratch, const CpuDirectGradient *)
ENTRY(void, gradient_part, const CpuDirectGradient *, int64_t, float *)
ENTRY(void, gradient_sum, const CpuDirectGradient *, const CpuWeights *, float *, int64_t)
ENTRY(int64_t, winograd_floats, const CpuWinograd *)
ENTRY(int64_t, winograd_pack_items, const CpuWinograd *)
ENTRY(void, winograd_pack, const CpuWinograd *, const CpuWeights *, bool, float *, int64_t)
ENTRY(int64_t, winograd_scratch, const CpuWinograd *)
ENTRY(void, winograd_block, const CpuWinograd *, int64_t, float *)
ENTRY(int64_t, winograd_gradient_scratch, const CpuWinogradGradient *)
ENTRY(void, winograd_gradient_part, const CpuWinogradGradient *, int64_t, float *)
ENTRY(void, winograd_gradient_sum, const CpuWinogradGradient *, const CpuWeights *, float *,
      int64_t)
ENTRY(void, panels_input, const CpuPanels *, int64_t)
ENTRY(void, panels_output, const CpuPanels *, int64_t)
ENTRY(int64_t, panels_scratch, const CpuPanels *)
ENTRY(void, panels_part, const CpuPanels *, int64_t, float *)
ENTRY(int64_t, panels_gradient_items, const CpuPanels *)
ENTRY(int64_t, panels_gradient_scratch, const CpuPanels *)
ENTRY(void, panels_gradient, const CpuPanels *, int64_t, float *, float *)
ENTRY(void, sums, const CpuPlane *, int64_t, int64_t, int64_t, const float *, double *,
      double *)
ENTRY(void, norm_sums, const CpuNorm *, int64_t, int64_t, double *, double *)
ENTRY(void, norm_back, const CpuNorm *, int64_t, int64_t)
ENTRY(void, leak_back, const CpuNorm *, int64_t, int64_t)
ENTRY(void, first_voxel, const CpuPlane *, int64_t, float *)
ENTRY(void, to_plane, const float *, int64_t, const CpuPlane *, int64_t, int64_t, int64_t)
ENTRY(void, from_plane, const CpuPlane *, int64_t, int64_t, int64_t, float *, int64_t)
ENTRY(void, sgd, const double *, int64_t, float *, const float *, float *)
ENTRY(void, adam, const double *, int64_t, float *, const float *, float *, float *)

#define TEXT_1(x) #x
#define TEXT(x) TEXT_1(x)
#define ROW(name) .name = CPU_NAME(cpu_##name)

const CpuKernels CPU_NAME(cpu_kernels) = {
    .name = TEXT(CPU_ISA),
    .panel = PANEL,
    .rows = ROWS,
    ROW(direct_floats),
    ROW(direct_pack_items),
    ROW(direct_pack),
    ROW(direct_scratch),
    ROW(direct_box),
    ROW(gradient_scratch),
    ROW(gradient_part),
    ROW(gradient_sum),
    ROW(winograd_floats),
    ROW(winograd_pack_items),
    ROW(winograd_pack),
    ROW(winograd_scratch),
    ROW(winograd_block),
    ROW(winograd_gradient_scratch),
    ROW(winograd_gradient_part),
    ROW(winograd_gradient_sum),
    ROW(panels_input),
    ROW(panels_output),
    ROW(panels_scratch),
    ROW(panels_part),
    ROW(panels_gradient_items),
    ROW(panels_gradient_scratch),
    ROW(panels_gradient),
    ROW(sums),
    ROW(norm_sums),
    ROW(norm_back),
    ROW(leak_back),
    ROW(first_voxel),
    ROW(to_plane),
    ROW(from_plane),
    ROW(sgd),
    ROW(adam),
};
