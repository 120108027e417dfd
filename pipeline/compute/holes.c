/* holes - what a mask encloses.
 *
 * Background is open where faces lead from it to the end of the volume; all else belongs to the
 * mask.  Rows fall into runs of background, few of them in an image of a head; runs that touch
 * across a face are joined (union-find, a parent lies before its children), and those of open
 * parts stay.
 * Source: scipy.ndimage.binary_fill_holes with its own structure. */
#include <loom/morphology.h>

#include <string.h>

typedef struct {
    gint32 first, end; /* voxels of its row */
    gint32 parent;     /* itself: the first run of its part */
    gboolean open;     /* of a part's first run: the part reaches the end of the volume */
} Run;

typedef struct {
    const gint64 *shape;
    Run *runs;
    gint32 *rows; /* D x H and one more: the first run of each */
} Background;

static gint32 row_count(const guint8 *row, gint64 width)
{
    gint32 n = 0;

    for (gint64 w = 0; w < width; w++)
        n += !row[w] && (w == 0 || row[w - 1]);
    return n;
}

static void row_find(const guint8 *row, gint64 width, Run *runs, gint32 at)
{
    for (gint64 w = 0; w < width; w++) {
        const gint64 first = w;

        while (w < width && !row[w])
            w++;
        if (w > first) {
            runs[at] = (Run){(gint32)first, (gint32)w, at, FALSE};
            at++;
        }
    }
}

static gint32 root_of(Run *runs, gint32 run)
{
    while (runs[run].parent != run) {
        runs[run].parent = runs[runs[run].parent].parent; /* halves the path */
        run = runs[run].parent;
    }
    return run;
}

/* Joins the runs of two rows that lie beside each other; @b: the later one. */
static void rows_join(const Background *background, gint64 a, gint64 b)
{
    const gint32 *rows = background->rows;
    Run *runs = background->runs;

    for (gint32 i = rows[a], k = rows[b]; i < rows[a + 1] && k < rows[b + 1];) {
        if (MAX(runs[i].first, runs[k].first) < MIN(runs[i].end, runs[k].end)) {
            const gint32 one = root_of(runs, i), other = root_of(runs, k);

            runs[MAX(one, other)].parent = MIN(one, other);
        }
        if (runs[i].end < runs[k].end)
            i++;
        else
            k++;
    }
}

/* Rows with their neighbours, then every run's part: does it reach the end? */
static void parts_join(const Background *background)
{
    const gint64 *shape = background->shape;
    Run *runs = background->runs;

    for (gint64 d = 0, row = 0; d < shape[0]; d++)
        for (gint64 h = 0; h < shape[1]; h++, row++) {
            if (h > 0)
                rows_join(background, row - 1, row);
            if (d > 0)
                rows_join(background, row - shape[1], row);
        }
    for (gint64 d = 0, row = 0; d < shape[0]; d++)
        for (gint64 h = 0; h < shape[1]; h++, row++) {
            const gboolean side = d == 0 || h == 0 || d == shape[0] - 1 || h == shape[1] - 1;

            for (gint32 i = background->rows[row]; i < background->rows[row + 1]; i++)
                if (side || runs[i].first == 0 || runs[i].end == shape[2])
                    runs[root_of(runs, i)].open = TRUE;
        }
}

gboolean loom_holes_fill(guint8 *mask, const gint64 shape[3], GError **error)
{
    const gint64 n_rows = shape[0] * shape[1], width = shape[2];
    g_autofree gint32 *rows = g_try_new(gint32, (gsize)n_rows + 1);
    gint64 n = 0;

    for (gint64 row = 0; rows && row < n_rows && n <= G_MAXINT32; row++) {
        rows[row] = (gint32)n;
        n += row_count(mask + row * width, width);
    }
    g_autofree Run *runs = n <= G_MAXINT32 ? g_try_new(Run, (gsize)MAX(n, 1)) : NULL;
    if (!rows || !runs)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "no memory to fill the holes of a mask of %" G_GINT64_FORMAT " voxels",
                         n_rows * width);
    const Background background = {shape, runs, rows};
    rows[n_rows] = (gint32)n;
    for (gint64 row = 0; row < n_rows; row++)
        row_find(mask + row * width, width, runs, rows[row]);
    parts_join(&background);
    for (gint64 row = 0; row < n_rows; row++)
        for (gint32 i = rows[row]; i < rows[row + 1]; i++)
            if (!runs[root_of(runs, i)].open)
                memset(mask + row * width + runs[i].first, 1,
                       (gsize)(runs[i].end - runs[i].first));
    return TRUE;
}
