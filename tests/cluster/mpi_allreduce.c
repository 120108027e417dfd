/* mpi_allreduce - what `segloom bench allreduce` is compared with: MPI_Allreduce in place, the
 * same numbers, the same order of things.
 *   mpicc -O3 -o mpi_allreduce mpi_allreduce.c
 *   mpirun --allow-run-as-root --oversubscribe --mca btl self,tcp --mca pml ob1 -n 2 \
 *     ./mpi_allreduce REPEAT MIB...
 * writes for each size: ranks, MiB, median and least seconds of rank 0. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#define WARM_UPS 3
#define PERIOD 1000

static int doubles_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Seconds of one sum; the program ends if it is wrong. */
static double once(float *buffer, long count, int rank, int ranks)
{
    for (long i = 0; i < count; i++)
        buffer[i] = (float)((rank + 1) * (i % PERIOD + 1));
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    MPI_Allreduce(MPI_IN_PLACE, buffer, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    const double seconds = MPI_Wtime() - start;
    for (long i = 0; i < count; i++)
        if (buffer[i] != (float)(ranks * (ranks + 1) / 2 * (i % PERIOD + 1)))
            MPI_Abort(MPI_COMM_WORLD, 1);
    return seconds;
}

int main(int argc, char **argv)
{
    int rank, ranks;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const int repeat = argc > 1 ? atoi(argv[1]) : 0;
    if (repeat < 1 || argc < 3) {
        fprintf(stderr, "usage: mpi_allreduce REPEAT MIB...\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    double *seconds = malloc((size_t)(repeat + WARM_UPS) * sizeof *seconds);
    for (int k = 2; k < argc; k++) {
        const long count = (long)(atof(argv[k]) * 1048576 / sizeof(float));
        float *buffer = aligned_alloc(64, ((size_t)count * sizeof(float) + 63) / 64 * 64);

        for (int i = 0; i < repeat + WARM_UPS; i++)
            seconds[i] = once(buffer, count, rank, ranks);
        qsort(seconds + WARM_UPS, (size_t)repeat, sizeof *seconds, doubles_compare);
        if (rank == 0)
            printf("%d %s %.6f %.6f\n", ranks, argv[k], seconds[WARM_UPS + repeat / 2],
                   seconds[WARM_UPS]);
        free(buffer);
    }
    free(seconds);
    MPI_Finalize();
    return 0;
}
