/* machine.h - what this machine is, for manifests and for `segloom doctor`. */
#pragma once

#include <glib.h>

/* "AMD EPYC 9654"; "unknown" where the system does not say; (transfer full). */
char *machine_cpu(void);
/* Vector instructions out of the list we care for, "avx2 fma avx512f"; (transfer full). */
char *machine_simd(void);
/* Bytes of memory: installed, and free to use now.  0: unknown. */
guint64 machine_memory(void);
guint64 machine_memory_available(void);
/* Bytes that this process holds now, and that it held at most since the start or the last
 * reset. 0: unknown. */
guint64 machine_memory_used(void);
guint64 machine_memory_peak(void);
void machine_memory_peak_reset(void);
/* File name of a shared library in this process, "libopenblasp-r0.3.21.so"; NULL: not there;
 * (transfer full). */
char *machine_library(const char *prefix);
