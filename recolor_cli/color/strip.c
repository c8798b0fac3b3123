/* The merge of merge.py in one pass: a photograph's own luminance + a stretched ab map -> sRGB.
   And what comes before: its luminance, averaged over bands of rows, as in lab.py.

   A row goes through the processor in chunks that stay in its first cache, each step a plain loop
   over one chunk. merge.py is what this is held to: all tables and constants come from there.

   The same bytes on every x86-64: loops are compiled for several generations of processors, but
   every value is computed by itself, in the order written (no fused multiply-add, no reordered
   sums: -ffp-contract=off, no -ffast-math). Tables are read by plain loads, outside of those
   loops: gather instructions are slower than that on most processors.

   Compiled by hatch_build.py, called by compiled.py; knows nothing of Python. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "pixels are stored as little-endian numbers"
#endif

#define CHUNK 512 /* pixels at a time: 14 KB of arrays and 16 KB of the map */
#define BLOCK 32  /* pixels that are compressed together, or not at all */

/* A shared library must not leave the choice of the clone to where it is loaded: by ifunc, which
   Linux with glibc has. Elsewhere there is one version, for what the compiler was told. */
#if defined(__x86_64__) && defined(__GLIBC__) && \
    ((defined(__GNUC__) && !defined(__clang__)) || (defined(__clang_major__) && __clang_major__ >= 14))
#define EVERY_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EVERY_PROCESSOR
#endif
#define SCALAR __attribute__((noinline))

/* What compiled.py fills in; its `_Job` has the same fields in the same order. */
typedef struct {
    /* The picture, (height, width) or (height, width, 3), any strides, in bytes. */
    const uint8_t *pixels;
    ptrdiff_t row_step, pixel_step, channel_step;
    uint8_t *out; /* (height, width, 3) without gaps; may be `pixels` */
    int64_t height, width;
    int32_t channels, depth; /* 1 or 3; bytes of a channel: 1 or 2 */

    /* Luminance: a grey pixel is an index of `f`; of RGB the index is sqrt(Y). */
    const float *of_red, *of_green, *of_blue; /* what each value adds to linear Y */
    const float *f;                           /* f(Y) of an index */
    float index_max;

    /* What ab adds to f(X) and f(Z), as a small map to be stretched by cubic convolution. */
    const float *steps; /* (2, map_height, map_width) */
    int64_t map_height, map_width;
    const int64_t *row_cell;     /* (height): a row lies after this one of the map, from -1 on */
    const float *row_keys;       /* (height, 4): weights of the rows around it */
    const int64_t *column_start; /* (map_width + 2): the columns after -1, 0, ... of the map's */
    const float *column_keys;    /* (4, width) */

    /* Where no pixel needs compression: index - low < count, unsigned. */
    const uint16_t *low, *count;             /* (calm_height, calm_width) */
    const int64_t *calm_row, *calm_column;   /* (height), (width) */
    int64_t calm_width;

    /* The gamut: the largest chroma over lightness and hue. */
    const float *chroma; /* (lightness_steps + 1, 2 * side) */
    int32_t lightness_steps, side;
    float knee;

    /* Light and sRGB. */
    float f_epsilon, of_tangent; /* where the cube gives way to its tangent, and that one's slope */
    float to_rgb[9];             /* XYZ -> linear RGB times `white` */
    float white;
    const uint8_t *encode8; /* (65536): sRGB of linear light */
    const float *encode16;  /* (65536, 2): sRGB of sqrt(linear light), and the way to the next */

    /* Memory to work in. */
    float *wide;    /* (4, 2, width): rows of the map as wide as the picture */
    uint16_t *calm; /* (2, width + BLOCK): low and count of a row of the picture */
} Job;

/* What goes from row to row. */
typedef struct {
    int64_t wide_row[4]; /* of the map; -1: none yet */
    int64_t calm_row;
} Rows;

typedef struct {
    uint16_t index[CHUNK];
    float fy[CHUNK], x[CHUNK], z[CHUNK]; /* x, z: the steps from fy to f(X), f(Z); then these */
    union {
        float light[3][CHUNK];
        struct {
            int32_t place[CHUNK];
            float across[CHUNK], along[CHUNK];
            float above[2 * CHUNK], below[2 * CHUNK];
        } gamut;
    } u;
    uint16_t code[3][CHUNK];
} Chunk;

static inline float largest(float a, float b) { return a > b ? a : b; }
static inline float smallest(float a, float b) { return a < b ? a : b; }

/* Luminance */

SCALAR static void read_gray(const Job *job, const uint8_t *from, int n, Chunk *c)
{
    ptrdiff_t step = job->pixel_step;
    if (job->depth == 1)
        for (int i = 0; i < n; i++)
            c->index[i] = from[i * step];
    else
        for (int i = 0; i < n; i++)
            memcpy(&c->index[i], from + i * step, 2);
}

SCALAR static void read_light(const Job *job, const uint8_t *from, int n, float *light)
{
    ptrdiff_t step = job->pixel_step, next = job->channel_step;
    const float *red = job->of_red, *green = job->of_green, *blue = job->of_blue;
    if (job->depth == 1) {
        for (int i = 0; i < n; i++, from += step)
            light[i] = red[from[0]] + green[from[next]] + blue[from[2 * next]];
        return;
    }
    for (int i = 0; i < n; i++, from += step) {
        uint16_t r, g, b;
        memcpy(&r, from, 2);
        memcpy(&g, from + next, 2);
        memcpy(&b, from + 2 * next, 2);
        light[i] = red[r] + green[g] + blue[b];
    }
}

EVERY_PROCESSOR static void index_light(const float *light, float index_max, int n, uint16_t *index)
{
    for (int i = 0; i < n; i++) {
        float root = __builtin_sqrtf(smallest(light[i], 1.0f));
        index[i] = (uint16_t)(int32_t)(root * index_max + 0.5f);
    }
}

SCALAR static void look_up(const float *table, const uint16_t *index, int n, float *out)
{
    for (int i = 0; i < n; i++)
        out[i] = table[index[i]];
}

/* Colour */

/* One row of a channel of the map, as wide as the picture. */
EVERY_PROCESSOR static void widen(const Job *job, const float *map, float *restrict out)
{
    int64_t width = job->width, last = job->map_width - 1;
    const float *ka = job->column_keys, *kb = ka + width, *kc = kb + width, *kd = kc + width;
    for (int64_t cell = -1; cell <= last; cell++) {
        float a = map[cell < 1 ? 0 : cell - 1], b = map[cell < 0 ? 0 : cell];
        float c = map[cell + 1 > last ? last : cell + 1];
        float d = map[cell + 2 > last ? last : cell + 2];
        int64_t stop = job->column_start[cell + 2];
        for (int64_t i = job->column_start[cell + 1]; i < stop; i++)
            out[i] = a * ka[i] + b * kb[i] + c * kc[i] + d * kd[i];
    }
}

EVERY_PROCESSOR static void stretch(const float *const row[4], const float *keys, int n, float *out)
{
    const float *a = row[0], *b = row[1], *c = row[2], *d = row[3];
    float ka = keys[0], kb = keys[1], kc = keys[2], kd = keys[3];
    for (int i = 0; i < n; i++)
        out[i] = a[i] * ka + b[i] * kb + c[i] * kc + d[i] * kd;
}

EVERY_PROCESSOR static int outside(const uint16_t *index, const uint16_t *low,
                                   const uint16_t *count)
{
    int any = 0;
    for (int i = 0; i < BLOCK; i++) /* what is below `low` wraps to the largest numbers */
        any |= (uint16_t)(index[i] - low[i]) >= count[i];
    return any;
}

/* Where a colour's lightness and hue stand in the table of largest chroma: see gamut.py. */
EVERY_PROCESSOR static void place(const Job *job, Chunk *c, int from, int to)
{
    float last_row = (float)(job->lightness_steps - 1), last_column = (float)(2 * job->side - 2);
    float rows = (float)job->lightness_steps, side = (float)job->side;
    float half = (float)(job->side - 1) / 2;
    int32_t width = 2 * job->side;
    for (int i = from; i < to; i++) {
        float a = c->x[i] * 500.0f, b = c->z[i] * -200.0f;
        float length = largest(__builtin_fabsf(a) + __builtin_fabsf(b), 1e-12f);
        float column = (b / length + 1.0f) * half + (a < 0.0f ? side : 0.0f);
        float row = (c->fy[i] * 116.0f - 16.0f) * (rows / 100.0f);
        row = smallest(largest(row, 0.0f), rows);
        int32_t at_row = (int32_t)smallest(row, last_row);
        int32_t at_column = (int32_t)smallest(column, last_column);
        c->u.gamut.place[i] = at_row * width + at_column;
        c->u.gamut.across[i] = column - (float)at_column;
        c->u.gamut.along[i] = row - (float)at_row;
    }
}

/* Two neighbours at a time: half the loads and stores. */
SCALAR static void corners(const Job *job, Chunk *c, int from, int to)
{
    int32_t width = 2 * job->side;
    for (int i = from; i < to; i++) {
        const float *at = job->chroma + c->u.gamut.place[i];
        memcpy(c->u.gamut.above + 2 * i, at, 2 * sizeof *at);
        memcpy(c->u.gamut.below + 2 * i, at + width, 2 * sizeof *at);
    }
}

EVERY_PROCESSOR static void compress(float knee, Chunk *c, int from, int to)
{
    for (int i = from; i < to; i++) {
        float a = c->x[i] * 500.0f, b = c->z[i] * -200.0f;
        float across = c->u.gamut.across[i], along = c->u.gamut.along[i];
        float p = c->u.gamut.above[2 * i], q = c->u.gamut.above[2 * i + 1];
        float r = c->u.gamut.below[2 * i], s = c->u.gamut.below[2 * i + 1];
        float above = p + (q - p) * across, below = r + (s - r) * across;
        float limit = largest(above + (below - above) * along, 1e-9f);
        float share = largest(__builtin_sqrtf(a * a + b * b) / limit, knee);
        float over = share - knee;
        float scale = 1.0f - over * over / share / (share + (1.0f - 2.0f * knee));
        c->x[i] *= scale;
        c->z[i] *= scale;
    }
}

/* Light and sRGB */

static inline float cube(float f, float epsilon, float of_tangent)
{
    float at = largest(f, epsilon);
    return at * at * at + (f - at) * of_tangent;
}

EVERY_PROCESSOR static void to_light(const Job *job, Chunk *c, int n)
{
    const float *m = job->to_rgb;
    float epsilon = job->f_epsilon, of_tangent = job->of_tangent, white = job->white;
    for (int i = 0; i < n; i++) {
        float fy = c->fy[i];
        float y = cube(fy, epsilon, of_tangent);
        float x = cube(c->x[i] + fy, epsilon, of_tangent);
        float z = cube(c->z[i] + fy, epsilon, of_tangent);
        float red = x * m[0] + z * m[2] + y * m[1];
        float green = x * m[3] + z * m[5] + y * m[4];
        float blue = x * m[6] + z * m[8] + y * m[7];
        c->u.light[0][i] = smallest(largest(red, 0.0f), white);
        c->u.light[1][i] = smallest(largest(green, 0.0f), white);
        c->u.light[2][i] = smallest(largest(blue, 0.0f), white);
    }
}

EVERY_PROCESSOR static void round_light(Chunk *c, int n)
{
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < n; i++)
            c->code[k][i] = (uint16_t)(int32_t)(c->u.light[k][i] + 0.5f);
}

/* A pixel is one store, whose last byte the next pixel overwrites: a third of the stores. */
SCALAR static void write8(const uint8_t *table, const Chunk *c, int n, uint8_t *out)
{
    const uint16_t *red = c->code[0], *green = c->code[1], *blue = c->code[2];
    uint32_t pixel;
    for (int i = 0; i < n - 1; i++, out += 3) {
        pixel = table[red[i]] | (uint32_t)table[green[i]] << 8 | (uint32_t)table[blue[i]] << 16;
        memcpy(out, &pixel, 4);
    }
    pixel = table[red[n - 1]] | (uint32_t)table[green[n - 1]] << 8 |
            (uint32_t)table[blue[n - 1]] << 16;
    memcpy(out, &pixel, 3);
}

/* 65536 entries over the root, and a straight line between them. */
EVERY_PROCESSOR static void split_root(Chunk *c, int n)
{
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < n; i++) {
            float root = __builtin_sqrtf(c->u.light[k][i]);
            int32_t code = (int32_t)root;
            c->code[k][i] = (uint16_t)code;
            c->u.light[k][i] = root - (float)code;
        }
}

static inline uint64_t code16(const float *table, const Chunk *c, int channel, int i)
{
    const float *at = table + 2 * (ptrdiff_t)c->code[channel][i];
    return (uint64_t)(int32_t)(at[0] + at[1] * c->u.light[channel][i]);
}

SCALAR static void write16(const float *table, const Chunk *c, int n, uint8_t *out)
{
    for (int i = 0; i < n; i++, out += 6) {
        uint64_t pixel = code16(table, c, 0, i) | code16(table, c, 1, i) << 16 |
                         code16(table, c, 2, i) << 32;
        memcpy(out, &pixel, i + 1 < n ? 8 : 6);
    }
}

/* Rows */

/* The four rows of the map around a row of the picture: four slots, each for every fourth row. */
static void widen_around(const Job *job, int64_t y, Rows *held, const float *rows[4])
{
    for (int i = 0; i < 4; i++) {
        int64_t row = job->row_cell[y] + i - 1, last = job->map_height - 1;
        row = row < 0 ? 0 : row > last ? last : row;
        float *slot = job->wide + (row & 3) * 2 * job->width;
        if (held->wide_row[row & 3] != row) {
            const float *map = job->steps + row * job->map_width;
            widen(job, map, slot);
            widen(job, map + job->map_height * job->map_width, slot + job->width);
            held->wide_row[row & 3] = row;
        }
        rows[i] = slot;
    }
}

/* `low` and `count` of a row of the picture, and beyond it a block in which index 0 is calm. */
static void spread_calm(const Job *job, int64_t y, Rows *held)
{
    int64_t row = job->calm_row[y];
    if (held->calm_row == row)
        return;
    held->calm_row = row;
    uint16_t *low = job->calm, *count = low + job->width + BLOCK;
    for (int64_t i = 0; i < job->width; i++) {
        low[i] = job->low[row * job->calm_width + job->calm_column[i]];
        count[i] = job->count[row * job->calm_width + job->calm_column[i]];
    }
    for (int64_t i = job->width; i < job->width + BLOCK; i++) {
        low[i] = 0;
        count[i] = 1;
    }
}

/* Bring what may lie above the knee into the gamut, by blocks: the others stay as they are. */
static void compress_blocks(const Job *job, int64_t left, int n, Chunk *c)
{
    const uint16_t *low = job->calm + left, *count = low + job->width + BLOCK;
    int end = (n + BLOCK - 1) / BLOCK * BLOCK;
    memset(c->index + n, 0, (size_t)(end - n) * sizeof *c->index);
    for (int start = 0; start < n;) {
        int stop = start;
        while (stop < n && outside(c->index + stop, low + stop, count + stop))
            stop += BLOCK;
        if (stop > start) {
            int to = stop < n ? stop : n;
            place(job, c, start, to);
            corners(job, c, start, to);
            compress(job->knee, c, start, to);
        }
        start = stop + BLOCK;
    }
}

/* f(Y) of n pixels, and their numbers. */
static void read_pixels(const Job *job, int64_t y, int64_t left, int n, Chunk *c)
{
    const uint8_t *from = job->pixels + y * job->row_step + left * job->pixel_step;
    if (job->channels == 1) {
        read_gray(job, from, n, c);
    } else {
        read_light(job, from, n, c->fy);
        index_light(c->fy, job->index_max, n, c->index);
    }
    look_up(job->f, c->index, n, c->fy);
}

static void merge_chunk(const Job *job, int64_t y, int64_t left, int n, const float *const wide[4])
{
    Chunk c;
    read_pixels(job, y, left, n, &c);
    for (int channel = 0; channel < 2; channel++) {
        const float *rows[4];
        for (int i = 0; i < 4; i++)
            rows[i] = wide[i] + channel * job->width + left;
        stretch(rows, job->row_keys + 4 * y, n, channel ? c.z : c.x);
    }
    compress_blocks(job, left, n, &c);
    to_light(job, &c, n);
    uint8_t *out = job->out + (y * job->width + left) * 3 * job->depth;
    if (job->depth == 1) {
        round_light(&c, n);
        write8(job->encode8, &c, n, out);
    } else {
        split_root(&c, n);
        write16(job->encode16, &c, n, out);
    }
}

void recolor_merge(const Job *job)
{
    Rows held = {{-1, -1, -1, -1}, -1};
    for (int64_t y = 0; y < job->height; y++) {
        const float *wide[4];
        widen_around(job, y, &held, wide);
        spread_calm(job, y, &held);
        for (int64_t left = 0; left < job->width; left += CHUNK) {
            int64_t n = job->width - left;
            merge_chunk(job, y, left, n < CHUNK ? (int)n : CHUNK, wide);
        }
    }
}

EVERY_PROCESSOR static void add(const float *values, float share, int n, float *restrict total)
{
    for (int i = 0; i < n; i++)
        total[i] += values[i] * share;
}

/* The mean f(Y) of as many equal bands of rows: (bands, width). Two bands may share a row. */
void recolor_bands(const Job *job, int64_t bands, float *out)
{
    double height = (double)job->height / (double)bands;
    memset(out, 0, (size_t)(bands * job->width) * sizeof *out);
    for (int64_t band = 0; band < bands; band++, out += job->width) {
        double top = (double)band * height, bottom = (double)(band + 1) * height;
        for (int64_t y = (int64_t)top; y < job->height && (double)y < bottom - 1e-9; y++) {
            double from = (double)y > top ? (double)y : top;
            double to = (double)(y + 1) < bottom ? (double)(y + 1) : bottom;
            for (int64_t left = 0; left < job->width; left += CHUNK) {
                int n = job->width - left < CHUNK ? (int)(job->width - left) : CHUNK;
                Chunk c;
                read_pixels(job, y, left, n, &c);
                add(c.fy, (float)((to - from) / height), n, out + left);
            }
        }
    }
}

int64_t recolor_job_bytes(void)
{
    return sizeof(Job);
}

/* What it was compiled from: compiled.py compares it with this file. */
const char *recolor_source(void)
{
    return RECOLOR_SOURCE;
}
