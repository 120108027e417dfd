/* cpu_convolve - a block's convolution, its data gradient and its weight gradient, each as jobs
 * for the threads of the run: first the weights are brought into the order of the kernels, then
 * boxes or blocks of tiles are computed. */
#include "cpu.h"

#define KEPT_FLOATS (8 * 1024 * 1024) /* of packed weights, by a block */

/* One job.  A worker's scratch memory lies `scratch_step` floats behind the one before. */
typedef struct {
    const CpuKernels *kernels;
    const CpuDirect *direct;
    const CpuDirectGradient *gradient;
    const CpuWinograd *winograd;
    const CpuWinogradGradient *winograd_gradient;
    const CpuPanels *panels;
    const CpuWeights *weights;
    gboolean flipped;
    float *packed, *dw, *scratch;
    gint64 scratch_step;
} Job;

static gint64 even(gint64 floats)
{
    return (floats + CPU_BLOCK - 1) / CPU_BLOCK * CPU_BLOCK; /* whole cache lines */
}

/* ---- portions ------------------------------------------------------------------------- */

static void direct_pack(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Job *job = data;

    job->kernels->direct_pack(job->direct, job->weights, job->packed, i);
}

static void direct_box(gint64 i, guint worker, gpointer data)
{
    const Job *job = data;

    job->kernels->direct_box(job->direct, i, job->scratch + worker * job->scratch_step);
}

static void winograd_pack(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Job *job = data;

    job->kernels->winograd_pack(job->winograd, job->weights, job->flipped, job->packed, i);
}

static void winograd_block(gint64 i, guint worker, gpointer data)
{
    const Job *job = data;

    job->kernels->winograd_block(job->winograd, i, job->scratch + worker * job->scratch_step);
}

static void gradient_part(gint64 i, guint worker, gpointer data)
{
    const Job *job = data;
    float *scratch = job->scratch + worker * job->scratch_step;

    if (job->gradient)
        job->kernels->gradient_part(job->gradient, i, scratch);
    else
        job->kernels->winograd_gradient_part(job->winograd_gradient, i, scratch);
}

static void gradient_sum(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Job *job = data;

    if (job->gradient)
        job->kernels->gradient_sum(job->gradient, job->weights, job->dw, i);
    else
        job->kernels->winograd_gradient_sum(job->winograd_gradient, job->weights, job->dw, i);
}

static void panels_input(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Job *job = data;

    job->kernels->panels_input(job->panels, i);
}

static void panels_output(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Job *job = data;

    job->kernels->panels_output(job->panels, i);
}

static void panels_part(gint64 i, guint worker, gpointer data)
{
    const Job *job = data;

    job->kernels->panels_part(job->panels, i, job->scratch + worker * job->scratch_step);
}

static void panels_gradient(gint64 i, guint worker, gpointer data)
{
    const Job *job = data;

    job->kernels->panels_gradient(job->panels, i, job->dw,
                                  job->scratch + worker * job->scratch_step);
}

/* ---- memory --------------------------------------------------------------------------- */

/* Planes as kernels count them, without their data: for sizes. */
static void planes_blank(gint64 channels, gint64 first, CpuPlane *planes)
{
    for (gint64 i = 0; i * CPU_BLOCK < channels; i++)
        planes[i] = (CpuPlane){.first = first + i * CPU_BLOCK,
                               .lanes = MIN(CPU_BLOCK, channels - i * CPU_BLOCK)};
}

typedef struct {
    gint64 packed, scratch; /* floats; scratch: of one worker */
} Need;

static gint64 panels_count(const Cpu *cpu, gint64 n_out)
{
    return (n_out * CPU_BLOCK + cpu->kernels->panel - 1) / cpu->kernels->panel;
}

/* Without its memory.  More threads than panels share one; that changes no sum. */
static CpuPanels panels_make(const Cpu *cpu, const CpuWay *way, const CpuPlane *in, gint64 n_in,
                             const CpuPlane *out, gint64 n_out)
{
    const gint64 panels = panels_count(cpu, n_out), threads = loom_pool_threads(cpu->pool);

    return (CpuPanels){.tiles = &way->tiles,
                       .in = in,
                       .out = out,
                       .n_in = n_in,
                       .n_out = n_out,
                       .depth = way->depth,
                       .parts = CLAMP((threads + panels - 1) / panels, 1, way->tiles.block)};
}

/* Floats of @planes transformed, all tiles of all samples. */
static gint64 transformed_floats(const CpuTiles *t, gint64 planes)
{
    const gint64 edge = t->m + 2, points = edge * edge * (t->flat ? 1 : edge);

    return even(points * (planes * t->block + 1) * CPU_BLOCK);
}

static Need need_of(const Cpu *cpu, const LoomBlock *block, CpuDirection direction)
{
    const LoomBlockSpec *s = &block->spec;
    const CpuWay *way = &block->way[direction];
    const gint64 n_in = block->n_in[0] + block->n_in[1], n_out = block->n_out;
    const CpuKernels *k = cpu->kernels;
    g_autofree CpuPlane *in = g_new0(CpuPlane, (gsize)n_in),
                        *out = g_new0(CpuPlane, (gsize)n_out);
    const gboolean back = direction == CPU_BACK;

    planes_blank(s->c_in[0], 0, in);
    planes_blank(s->c_in[1], s->c_in[0], in + block->n_in[0]);
    planes_blank(s->c_out, 0, out);
    if (direction == CPU_GRADIENT && way->panels) {
        const CpuPanels p = panels_make(cpu, way, in, n_in, out, n_out);

        return (Need){transformed_floats(&way->tiles, n_in)
                          + transformed_floats(&way->tiles, n_out),
                      k->panels_gradient_scratch(&p)};
    }
    if (direction == CPU_GRADIENT && way->m) {
        const CpuWinogradGradient g = {&way->tiles, in, out, n_in, n_out, way->slots, NULL};
        const gint64 edge = way->m + 2, points = edge * edge * (way->tiles.flat ? 1 : edge);

        return (Need){way->slots * points * (n_in * n_out * CPU_BLOCK + 1) * CPU_BLOCK,
                      k->winograd_gradient_scratch(&g)};
    }
    if (direction == CPU_GRADIENT) {
        const CpuDirectGradient g = {&way->sweep, in, out, n_in, n_out, way->slots, NULL};

        return (Need){way->slots * n_in * sweep_taps(&way->sweep) * CPU_BLOCK * CPU_BLOCK
                          * n_out,
                      k->gradient_scratch(&g)};
    }
    if (way->panels) {
        const CpuPanels p = panels_make(cpu, way, back ? out : in, back ? n_out : n_in,
                                        back ? in : out, back ? n_in : n_out);

        return (Need){transformed_floats(&way->tiles, p.n_in), k->panels_scratch(&p)};
    }
    if (way->m) {
        const CpuWinograd w = {.tiles = &way->tiles,
                               .in = back ? out : in,
                               .out = back ? in : out,
                               .n_in = back ? n_out : n_in,
                               .n_out = back ? n_in : n_out};

        return (Need){k->winograd_floats(&w), k->winograd_scratch(&w)};
    }
    const CpuDirect d = {.sweep = &way->sweep,
                         .in = back ? out : in,
                         .out = back ? in : out,
                         .n_in = back ? n_out : n_in,
                         .n_out = back ? n_in : n_out};

    return (Need){k->direct_floats(&d), k->direct_scratch(&d)};
}

/* Inference keeps packed weights, but not those that dwarf their model's: packing these again
 * is a small part of the work, for it is only done where there are many tiles. */
gint64 convolve_kept_floats(const Cpu *cpu, const LoomBlock *block)
{
    const gint64 packed = need_of(cpu, block, CPU_FORWARD).packed;

    return block->spec.training || block->way[CPU_FORWARD].panels || packed > KEPT_FLOATS
               ? 0
               : packed;
}

gint64 convolve_floats(const Cpu *cpu, const LoomBlock *block)
{
    const gint64 workers = loom_pool_threads(cpu->pool);
    gint64 most = 0;

    for (CpuDirection d = CPU_FORWARD; d < CPU_WAYS; d++) {
        const Need need = need_of(cpu, block, d);
        const gboolean kept = d == CPU_FORWARD && convolve_kept_floats(cpu, block) > 0;

        if (d == CPU_FORWARD || block->spec.training)
            most = MAX(most, (kept ? 0 : even(need.packed)) + workers * even(need.scratch));
    }
    return most;
}

/* ---- forward, data gradient ----------------------------------------------------------- */

static void convolve_panels(Cpu *cpu, const CpuWay *way, Job *job, const CpuPlane *in,
                            gint64 n_in, const CpuPlane *out, gint64 n_out, const float *bias)
{
    CpuPanels panels = panels_make(cpu, way, in, n_in, out, n_out);

    panels.weights = job->weights;
    panels.flipped = job->flipped;
    panels.bias = bias;
    panels.v = cpu->workspace;
    job->kernels = cpu->kernels;
    job->panels = &panels;
    job->scratch = cpu->workspace + transformed_floats(&way->tiles, n_in);
    job->scratch_step = even(cpu->kernels->panels_scratch(&panels));
    loom_pool_run(cpu->pool, n_in * way->tiles.n, panels_input, job);
    loom_pool_run(cpu->pool, panels_count(cpu, n_out) * panels.parts, panels_part, job);
}

/* From planes to planes; @packed NULL: in the workspace, made anew. */
static void convolve(Cpu *cpu, const CpuWay *way, Job *job, const CpuPlane *in, gint64 n_in,
                     const CpuPlane *out, gint64 n_out, const float *bias, float *packed,
                     gboolean pack)
{
    const CpuKernels *k = cpu->kernels;
    CpuDirect direct = {&way->sweep, in, out, n_in, n_out, NULL, bias};
    CpuWinograd winograd = {&way->tiles, in, out, n_in, n_out, NULL, bias};
    if (way->panels) {
        convolve_panels(cpu, way, job, in, n_in, out, n_out, bias);
        return;
    }
    const gint64 floats =
        even(way->m ? k->winograd_floats(&winograd) : k->direct_floats(&direct));

    job->kernels = k;
    job->direct = &direct;
    job->winograd = &winograd;
    job->packed = packed ? packed : cpu->workspace;
    job->scratch = cpu->workspace + (packed ? 0 : floats);
    direct.packed = winograd.u = job->packed;
    if (way->m) {
        job->scratch_step = even(k->winograd_scratch(&winograd));
        if (pack)
            loom_pool_run(cpu->pool, k->winograd_pack_items(&winograd), winograd_pack, job);
        loom_pool_run(cpu->pool, way->tiles.n * way->tiles.blocks, winograd_block, job);
    } else {
        job->scratch_step = even(k->direct_scratch(&direct));
        if (pack)
            loom_pool_run(cpu->pool, k->direct_pack_items(&direct), direct_pack, job);
        loom_pool_run(cpu->pool, sweep_items(&way->sweep), direct_box, job);
    }
}

/* The model's kernel between the channels of input and output, in this order or turned. */
static CpuWeights weights_of(const LoomBlock *block, const LoomArray *kernel, gboolean turned)
{
    const LoomBlockSpec *s = &block->spec;
    const gint64 taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    const gint64 in = s->transposed ? s->c_out * taps : taps;
    const gint64 out = s->transposed ? taps : (s->c_in[0] + s->c_in[1]) * taps;

    return (CpuWeights){kernel->data, turned ? out : in, turned ? in : out, taps};
}

static void inputs_of(LoomBlock *block, const LoomMap *const x[2])
{
    map_to_planes(x[0], 0, FALSE, block->in);
    if (block->spec.c_in[1])
        map_to_planes(x[1], block->spec.c_in[0], FALSE, block->in + block->n_in[0]);
}

void convolve_forward(Cpu *cpu, LoomBlock *block, const LoomMap *const x[2],
                      const LoomBlockWeights *w, LoomMap *y)
{
    const CpuWeights weights = weights_of(block, w->kernel, FALSE);
    const gboolean kept = convolve_kept_floats(cpu, block) > 0;
    Job job = {.weights = &weights};

    y->pending = FALSE;
    inputs_of(block, x);
    map_to_planes(y, 0, FALSE, block->out);
    for (gint64 k = 0; k < block->spec.c_out; k++)
        block->bias[k] = w->bias->data[k];
    convolve(cpu, &block->way[CPU_FORWARD], &job, block->in, block->n_in[0] + block->n_in[1],
             block->out, block->n_out, block->bias, kept ? block->packed : NULL,
             !kept || block->packed_version != w->kernel->version);
    block->packed_version = w->kernel->version;
}

void convolve_back(Cpu *cpu, LoomBlock *block, const LoomBlockWeights *w, const LoomMap *dz,
                   const LoomBlockGradient dx[2])
{
    const CpuWeights weights = weights_of(block, w->kernel, TRUE);
    Job job = {.weights = &weights, .flipped = TRUE};
    gint64 n = 0;

    for (guint i = 0; i < 2; i++) {
        if (!dx[i].map || !block->spec.c_in[i])
            continue;
        dx[i].map->pending = FALSE;
        map_to_planes(dx[i].map, i ? block->spec.c_in[0] : 0, dx[i].add, block->in + n);
        n += block->n_in[i];
    }
    if (n == 0)
        return;
    map_to_planes(dz, 0, FALSE, block->out);
    convolve(cpu, &block->way[CPU_BACK], &job, block->out, block->n_out, block->in, n, NULL,
             NULL, TRUE);
}

/* ---- weight gradient ------------------------------------------------------------------ */

static void gradient_panels(Cpu *cpu, LoomBlock *block, const CpuWeights *weights, float *dw)
{
    const CpuWay *way = &block->way[CPU_GRADIENT];
    const gint64 n_in = block->n_in[0] + block->n_in[1];
    CpuPanels panels = panels_make(cpu, way, block->in, n_in, block->out, block->n_out);
    Job job = {.kernels = cpu->kernels, .panels = &panels, .dw = dw};

    panels.weights = weights;
    panels.v = cpu->workspace;
    panels.w = panels.v + transformed_floats(&way->tiles, n_in);
    job.scratch = panels.w + transformed_floats(&way->tiles, block->n_out);
    job.scratch_step = even(cpu->kernels->panels_gradient_scratch(&panels));
    loom_pool_run(cpu->pool, n_in * way->tiles.n, panels_input, &job);
    loom_pool_run(cpu->pool, block->n_out * way->tiles.n, panels_output, &job);
    loom_pool_run(cpu->pool, cpu->kernels->panels_gradient_items(&panels), panels_gradient,
                  &job);
}

void convolve_gradient(Cpu *cpu, LoomBlock *block, const LoomMap *const x[2], const LoomMap *dz,
                       const LoomBlockWeights *w, LoomArray *dw)
{
    const CpuWay *way = &block->way[CPU_GRADIENT];
    const gint64 n_in = block->n_in[0] + block->n_in[1];
    const Need need = need_of(cpu, block, CPU_GRADIENT);
    const CpuWeights weights = weights_of(block, w->kernel, FALSE);
    const CpuDirectGradient direct = {&way->sweep,  block->in,  block->out,    n_in,
                                      block->n_out, way->slots, cpu->workspace};
    const CpuWinogradGradient winograd = {&way->tiles,  block->in,  block->out,    n_in,
                                          block->n_out, way->slots, cpu->workspace};
    Job job = {.kernels = cpu->kernels,
               .gradient = way->m ? NULL : &direct,
               .winograd_gradient = &winograd,
               .weights = &weights,
               .dw = dw->data,
               .scratch = cpu->workspace + even(need.packed),
               .scratch_step = even(need.scratch)};

    inputs_of(block, x);
    map_to_planes(dz, 0, FALSE, block->out);
    if (way->panels) {
        gradient_panels(cpu, block, &weights, dw->data);
        return;
    }
    loom_pool_run(cpu->pool, way->m ? way->slots : way->slots * n_in, gradient_part, &job);
    loom_pool_run(cpu->pool, n_in, gradient_sum, &job);
}
