/* cmd_bench.h - the parts of `segloom bench`. */
#pragma once

int bench_allreduce(int argc, char **argv);
