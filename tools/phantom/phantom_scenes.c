/* phantom_scenes - the bodies that `segloom phantom` can paint.  Sizes and intensities are
 * those of adults in round numbers; each case varies them.  Hounsfield units: air -1000, fat
 * -100, water 0, muscle 50, organs in the portal phase 60 to 130, kidney cortex 190, bone 200
 * up. */
#include "phantom.h"

#include <math.h>

#define LABEL_KEEP PHANTOM_KEEP_LABEL

static double vary(LoomRng *rng, double middle, double by)
{
    return loom_rng_uniform(rng, middle - by, middle + by);
}

static PhantomShape *add(PhantomScene *scene, LoomRng *rng, double x, double y, double z,
                         double rx, double ry, double rz, float value, int label)
{
    const PhantomShape shape = {
        .centre = {x, y, z},
        .radius = {rx, ry, rz},
        .phase = {vary(rng, 0, G_PI), vary(rng, 0, G_PI), vary(rng, 0, G_PI)},
        .value = {value, value},
        .label = label,
    };

    g_array_append_val(scene->shapes, shape);
    return &g_array_index(scene->shapes, PhantomShape, scene->shapes->len - 1);
}

/* ---- kits: an abdomen with two kidneys and one tumour ------------------------------- */

static void ribs_add(PhantomScene *scene, LoomRng *rng, double rx, double ry)
{
    for (int pair = 0; pair < 5; pair++)
        for (int side = -1; side <= 1; side += 2)
            for (int i = 0; i < 26; i++) { /* from the spine to the flank, falling forwards */
                const double angle = 0.35 + 0.095 * i;
                const double z = 92 - 26 * pair - 11 * angle;

                add(scene, rng, side * rx * sin(angle), -ry * cos(angle), z, 6, 6, 5.5, 330,
                    LABEL_KEEP);
            }
}

static void trunk_add(PhantomScene *scene, LoomRng *rng)
{
    const double fat = vary(rng, 17, 8), stout = vary(rng, 1, 0.06);
    const double rx = 140 * stout, ry = 93 * stout;

    add(scene, rng, 0, -ry - fat - 20, 0, 170, 9, INFINITY, -820, LABEL_KEEP); /* the table */
    add(scene, rng, 0, 0, 0, rx + fat + 2, ry + fat + 2, INFINITY, 30, LABEL_KEEP); /* skin */
    add(scene, rng, 0, 0, 0, rx + fat, ry + fat, INFINITY, -105, LABEL_KEEP);
    add(scene, rng, 0, 0, 0, rx, ry, INFINITY, 55, LABEL_KEEP)->roughness = 0.02; /* muscle */
    ribs_add(scene, rng, rx - 9, ry - 9);
    add(scene, rng, 0, 8, 0, rx - 19, ry - 20, INFINITY, -98, LABEL_KEEP); /* cavity */
    for (int side = -1; side <= 1; side += 2) /* psoas and the muscles of the back */
        add(scene, rng, 38 * side, -48, 0, 19, 22, INFINITY, 58, LABEL_KEEP)->roughness = 0.1;
    add(scene, rng, 0, -55, 0, 21, 17, INFINITY, 380,
        LABEL_KEEP); /* vertebrae: shell, inside */
    add(scene, rng, 0, -55, 0, 18, 14, INFINITY, 190, LABEL_KEEP);
    add(scene, rng, 0, -79, 0, 17, 12, INFINITY, 340, LABEL_KEEP);
    add(scene, rng, 0, -77, 0, 9, 7.5, INFINITY, 25, LABEL_KEEP); /* canal */
    for (int disc = -2; disc <= 3; disc++)
        add(scene, rng, 0, -55, 34.0 * disc, 20, 16, 4, 85, LABEL_KEEP);
}

/* @phase: contrast agent, 0 to 1; blood takes most of it. */
static void organs_add(PhantomScene *scene, LoomRng *rng, double phase)
{
    const float missing = (float)(1 - phase);
    const float liver = (float)vary(rng, 108, 10) - 50 * missing;
    PhantomShape *shape =
        add(scene, rng, 62, 18, vary(rng, 52, 8), 66, 58, 58, liver, LABEL_KEEP);

    shape->roughness = 0.12;
    for (int i = 0; i < 9; i++) /* its vessels */
        add(scene, rng, vary(rng, 62, 38), vary(rng, 18, 32), vary(rng, 52, 32), 4, 4, 13,
            liver + 45 - 50 * missing, LABEL_KEEP)
            ->turn_y = vary(rng, 0, 1.5);
    add(scene, rng, -100, -22, vary(rng, 55, 8), 21, 38, 44, 122 - 72 * missing, LABEL_KEEP)
        ->roughness = 0.1;
    add(scene, rng, -55, 34, vary(rng, 52, 6), 36, 30, 40, 62, LABEL_KEEP)->roughness = 0.1;
    add(scene, rng, -55, 34, 52, 30, 24, 34, 22, LABEL_KEEP)->roughness = 0.1; /* stomach */
    add(scene, rng, -52, 50, 58, 17, 8, 17, -880, LABEL_KEEP);
    shape =
        add(scene, rng, -12, -8, 22, 48, 9, 11, 88 - 48 * missing, LABEL_KEEP); /* pancreas */
    shape->roughness = 0.2;
    shape->turn_y = 0.25;
    for (int i = 0; i < 44; i++) { /* bowel: wall, content, at times gas */
        const double x = vary(rng, 0, 84), y = vary(rng, 30, 24), z = vary(rng, -50, 48);
        const double r = vary(rng, 13, 4);

        add(scene, rng, x, y, z, r, r, r * 1.3, 75, LABEL_KEEP)->roughness = 0.15;
        add(scene, rng, x, y, z, r - 3, r - 3, r * 1.3 - 3, loom_rng_below(rng, 5) ? 18 : -850,
            LABEL_KEEP);
    }
    add(scene, rng, -11, -28, 0, 10, 10, INFINITY, 165 - 125 * missing,
        LABEL_KEEP); /* aorta, vena cava */
    add(scene, rng, 14, -26, 0, 11, 9, INFINITY, 130 - 90 * missing, LABEL_KEEP);
}

void phantom_abdomen_add(PhantomScene *scene, LoomRng *rng, double phase)
{
    trunk_add(scene, rng);
    organs_add(scene, rng, phase);
}

typedef struct {
    double centre[3], radius[3], tilt;
} Kidney;

static Kidney kidney_add(PhantomScene *scene, LoomRng *rng, int side)
{
    const Kidney kidney = {
        .centre = {side * vary(rng, 68, 6), vary(rng, -36, 5),
                   vary(rng, side > 0 ? -22 : -12, 9)},
        .radius = {vary(rng, 25, 3), vary(rng, 23, 3), vary(rng, 50, 6)},
        .tilt = -side * vary(rng, 0.22, 0.1),
    };
    const double *c = kidney.centre, *r = kidney.radius;
    const float cortex = (float)vary(rng, 190, 15);

    add(scene, rng, c[0], c[1], c[2], r[0] + 9, r[1] + 9, r[2] + 10, -100, LABEL_KEEP)->turn_y =
        kidney.tilt; /* its capsule of fat */
    PhantomShape *shape = add(scene, rng, c[0], c[1], c[2], r[0], r[1], r[2], cortex, 1);
    shape->turn_y = kidney.tilt;
    shape->roughness = 0.06;
    for (int i = 0; i < 7; i++) { /* pyramids */
        const double angle = 0.9 * i;

        add(scene, rng, c[0] + 0.42 * r[0] * cos(angle), c[1] + 0.42 * r[1] * sin(angle),
            c[2] + r[2] * (0.2 * i - 0.6), 6.5, 6.5, 8, cortex - 55, LABEL_KEEP);
    }
    /* the sinus opens towards the spine: fat around urine, no kidney */
    add(scene, rng, c[0] - 0.75 * side * r[0], c[1] + 4, c[2], 15, 9, 17, -70, 0)->roughness =
        0.1;
    add(scene, rng, c[0] - 0.6 * side * r[0], c[1] + 4, c[2], 8, 5, 10, 12, 0);
    return kidney;
}

/* On the outer surface of a kidney, half of it outside; below 1 % of the volume by far. */
static void tumour_add(PhantomScene *scene, LoomRng *rng, const Kidney *kidney, int side)
{
    const double angle = vary(rng, 0, 1.1), height = vary(rng, 0, 0.65);
    const double flat = sqrt(1 - height * height), out = vary(rng, 0.95, 0.1);
    const double r = vary(rng, 14.5, 4.5);
    const double x = kidney->centre[0] + out * side * kidney->radius[0] * flat * cos(angle)
                     + kidney->radius[2] * height * sin(kidney->tilt);
    const double y = kidney->centre[1] + out * kidney->radius[1] * flat * sin(angle);
    const double z = kidney->centre[2] + out * kidney->radius[2] * height;
    const float value = (float)vary(rng, 92, 14);

    add(scene, rng, x, y, z, r, r * vary(rng, 1, 0.12), r * vary(rng, 1, 0.12), value, 2)
        ->roughness = 0.09;
    if (r > 12) /* dead tissue inside a large one */
        add(scene, rng, x + 2, y - 1, z + 1, 0.45 * r, 0.4 * r, 0.45 * r, 32, 2)->roughness =
            0.2;
    if (loom_rng_below(rng, 2)) { /* a cyst on the other kidney looks alike, but is water */
        const double s = vary(rng, 8, 3);
        add(scene, rng, -x, kidney->centre[1] - 20, z, s, s, s, 8, 0);
    }
}

static void kits_build(PhantomScene *scene, LoomRng *rng)
{
    const int side = loom_rng_below(rng, 2) ? 1 : -1;

    *scene = (PhantomScene){scene->shapes, {-1000, 0}, {7, 0}, {14, 0}};
    phantom_abdomen_add(scene, rng, 1);
    kidney_add(scene, rng, -side);
    const Kidney kidney = kidney_add(scene, rng, side);
    tumour_add(scene, rng, &kidney, side);
}

/* ---- brats: a head with a tumour in three layers, FLAIR and T1 with contrast -------- */

/* Sets what the second channel shows. */
static void t1c(PhantomShape *shape, float value)
{
    shape->value[1] = value;
}

/* Folds of the surface: thin gaps of fluid with grey matter to both sides. */
static void sulci_add(PhantomScene *scene, LoomRng *rng, double rx, double ry, double rz)
{
    for (int i = 0; i < 90; i++) {
        const double up = vary(rng, 0.15, 0.8), angle = vary(rng, 0, G_PI);
        const double flat = sqrt(1 - up * up), tilt = vary(rng, 0, 0.5);
        const double x = rx * flat * cos(angle), y = ry * flat * sin(angle), z = rz * up;
        const double depth = vary(rng, 9, 3), length = vary(rng, 13, 4);

        for (int layer = 0; layer < 2; layer++) {
            PhantomShape *fold = add(scene, rng, 0.96 * x, 0.96 * y, 0.96 * z, depth + 3,
                                     layer ? 1.1 : 3.6, length, layer ? 70 : 330, LABEL_KEEP);

            t1c(fold, layer ? 110 : 260);
            fold->turn_z = atan2(y, x) + tilt;
            fold->turn_y = -asin(up);
        }
    }
}

static void head_add(PhantomScene *scene, LoomRng *rng, double rx, double ry, double rz)
{
    t1c(add(scene, rng, 0, 0, 0, rx + 12, ry + 12, rz + 12, 240, LABEL_KEEP), 420); /* scalp */
    t1c(add(scene, rng, 0, 0, 0, rx + 7, ry + 7, rz + 7, 40, LABEL_KEEP), 50);      /* skull */
    t1c(add(scene, rng, 0, 0, 0, rx + 3, ry + 3, rz + 3, 60, LABEL_KEEP), 110);     /* fluid */
    t1c(add(scene, rng, 0, 0, 0, rx, ry, rz, 330, LABEL_KEEP), 260);                /* grey */
    PhantomShape *white = add(scene, rng, 0, 0, 0, rx - 7, ry - 7, rz - 7, 270, LABEL_KEEP);
    t1c(white, 340);
    white->roughness = 0.05;
    sulci_add(scene, rng, rx, ry, rz);
    t1c(add(scene, rng, 0, 0, 30, 3.5, ry, rz, 330, LABEL_KEEP), 260); /* between the halves */
    t1c(add(scene, rng, 0, 0, 34, 1.3, ry + 1, rz, 70, LABEL_KEEP), 110);
    for (int side = -1; side <= 1; side += 2) {
        PhantomShape *nucleus = add(scene, rng, 17 * side, 2, 2, 8, 17, 11, 320, LABEL_KEEP);
        t1c(nucleus, 285);
        nucleus->roughness = 0.1;
        PhantomShape *ventricle = add(scene, rng, 8 * side, 0, 12, 5.5, 29, 9, 55, LABEL_KEEP);
        t1c(ventricle, 100);
        ventricle->turn_z = -0.18 * side;
        ventricle->roughness = 0.12;
    }
}

static void brats_build(PhantomScene *scene, LoomRng *rng)
{
    const double rx = vary(rng, 66, 4), ry = vary(rng, 82, 4), rz = vary(rng, 64, 4);
    const int side = loom_rng_below(rng, 2) ? 1 : -1;
    const double x = side * vary(rng, 0.5 * rx, 6), y = vary(rng, 0, 0.45 * ry);
    const double z = vary(rng, 8, 18), r = vary(rng, 13, 4);

    *scene = (PhantomScene){scene->shapes, {0, 0}, {9, 9}, {12, 12}};
    head_add(scene, rng, rx, ry, rz);
    PhantomShape *oedema = add(scene, rng, x, y, z, r * 1.5, r * 1.9, r * 1.6, 520, 2);
    t1c(oedema, 285);
    oedema->roughness = 0.25;
    PhantomShape *rim = add(scene, rng, x, y, z, r, r * 1.05, r, 430, 3);
    t1c(rim, 620);
    rim->roughness = 0.12;
    PhantomShape *core = add(scene, rng, x, y, z, r * 0.62, r * 0.65, r * 0.6, 370, 1);
    t1c(core, 170);
    core->roughness = 0.12;
}

/* The same head as four scanners' sequences: flair, t1, t1ce, t2.  Without contrast agent the
 * rim is no brighter than its surroundings; fluid, dark in both of brats, is bright in t2. */
static void brats20_build(PhantomScene *scene, LoomRng *rng)
{
    brats_build(scene, rng);
    for (guint c = 2; c < PHANTOM_CHANNELS; c++) {
        scene->texture[c] = scene->texture[0];
        scene->noise[c] = scene->noise[0];
    }
    for (guint i = 0; i < scene->shapes->len; i++) {
        PhantomShape *shape = &g_array_index(scene->shapes, PhantomShape, i);
        const float flair = shape->value[0], t1ce = shape->value[1];
        const gboolean fluid = flair <= 70 && t1ce >= 90 && t1ce <= 120;

        shape->value[1] = shape->label == 3 ? 250 : t1ce;
        shape->value[2] = t1ce;
        shape->value[3] = fluid ? 700 : flair;
    }
}

/* ---- spheres: small and fast, for tests --------------------------------------------- */

static void spheres_build(PhantomScene *scene, LoomRng *rng)
{
    *scene = (PhantomScene){scene->shapes, {100, 0}, {6, 0}, {12, 0}};
    for (int i = 0; i < 2; i++) { /* bright ones are wanted, dark ones are not */
        const double r = vary(rng, 6.5, 1.5);

        add(scene, rng, vary(rng, 0, 8), vary(rng, 0, 8), vary(rng, 0, 8), r, r, r,
            i ? 220 : 20, i ? 1 : 0);
    }
}

const PhantomKind phantom_kinds[] = {
    {"kits",
     "CT of an abdomen: kidneys, and a tumour below 1 % of the volume",
     {"CT"},
     {"kidney", "tumour"},
     {360, 288, 192},
     {64, 96, 120},
     kits_build},
    {"brats",
     "MR of a head: tumour core, oedema, enhancing rim",
     {"FLAIR", "T1c"},
     {"core", "oedema", "enhancing"},
     {180, 216, 180},
     {90, 108, 90},
     brats_build},
    {"brats20",
     "MR of a head in four sequences: necrosis, oedema, enhancing rim",
     {"flair", "t1", "t1ce", "t2"},
     {"necrosis", "oedema", "enhancing"},
     {180, 216, 180},
     {90, 108, 90},
     brats20_build},
    {"spheres",
     "one bright sphere to find, one dark one to ignore",
     {"intensity"},
     {"sphere"},
     {32, 32, 32},
     {32, 32, 32},
     spheres_build},
    {.name = NULL},
};
