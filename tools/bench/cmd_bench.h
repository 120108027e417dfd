/* cmd_bench.h - the parts of `segloom bench`. */
#pragma once

int bench_allreduce(int argc, char **argv);
int bench_conv(int argc, char **argv);
int bench_train_step(int argc, char **argv);
int bench_inference(int argc, char **argv);
int bench_resample(int argc, char **argv);
int bench_epoch(int argc, char **argv);
int bench_augment(int argc, char **argv);
