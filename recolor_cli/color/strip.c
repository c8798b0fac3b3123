/* The merge of merge.py in one pass: a photograph's own luminance + a stretched ab map -> sRGB.
   And what comes before: whether it is grey, and its luminance, averaged over bands of rows, as in
   lab.py.

   A row goes through the processor in chunks that stay in its first cache, each step a plain loop
   over one chunk. merge.py is what this is held to: all tables and constants come from there.

   The same bytes on every x86-64: loops are compiled for several generations of processors, but
   every value is computed by itself, in the order written (no fused multiply-add, no reordered
   sums: -ffp-contract=off, no -ffast-math). Tables are read by plain loads, outside of those
   loops: gather instructions are slower than that on most processors. Where there is AVX-512,
   pictures of 8 bits need no tables: polynomials.py says how.

   Compiled by hatch_build.py, called by compiled.py; knows nothing of Python. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

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
    const float *f_curve8, *linear_curve8, *f_curve; /* see polynomials.py */
    float y_of_rgb[3];

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
    const float *encode_curve8;
    const float *encode16;  /* (65536, 2): sRGB of sqrt(linear light), and the way to the next */

    int32_t narrow; /* not 0: without AVX-512, as tests and benchmarks want it */

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
    _Alignas(64) uint16_t index[CHUNK];
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

/* A sum with 2^23 has whole numbers as its last bits: to the nearest, and of two to the even one. */
EVERY_PROCESSOR static void round_light(Chunk *c, int n)
{
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < n; i++) {
            float sum = c->u.light[k][i] + 8388608.0f;
            uint32_t bits;
            memcpy(&bits, &sum, sizeof bits);
            c->code[k][i] = (uint16_t)bits;
        }
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

/* Eight bits with AVX-512: 16 pixels at a time, from the file's bytes to the result's. The same
   steps as above, and curves of polynomials whose coefficients lie in registers. */

#if defined(__x86_64__)
#define TARGET target("avx512f,avx512bw,avx512dq,avx512vl")
#define WIDE __attribute__((TARGET, noinline))
#define WIDE_INLINE __attribute__((TARGET, always_inline)) static inline

typedef struct {
    __m512 low[5], high[5]; /* of each term, from the constant on */
} Curve;

static inline int is_wide(const Job *job)
{
    return job->depth == 1 && !job->narrow && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

WIDE_INLINE Curve load_curve(const float *table, int terms)
{
    Curve curve;
    for (int i = 0; i < terms; i++) {
        curve.low[i] = _mm512_loadu_ps(table + 32 * i);
        curve.high[i] = _mm512_loadu_ps(table + 32 * i + 16);
    }
    return curve;
}

WIDE_INLINE __m512 follow(const Curve *curve, int terms, __m512i segment, __m512 x)
{
    int i = terms - 1;
    __m512 total = _mm512_permutex2var_ps(curve->low[i], segment, curve->high[i]);
    while (i-- > 0) {
        total = _mm512_mul_ps(total, x);
        total = _mm512_add_ps(total,
                              _mm512_permutex2var_ps(curve->low[i], segment, curve->high[i]));
    }
    return total;
}

WIDE_INLINE __m512i exponent_segment(__m512 x)
{
    return _mm512_srli_epi32(_mm512_castps_si512(x), 22);
}

/* A curve over 0 .. 255 and its foot. */
WIDE_INLINE __m512 follow8(const Curve *curve, __m512 foot, __m512 slope, __m512i value)
{
    __m512 x = _mm512_cvtepi32_ps(value);
    __m512 line = _mm512_add_ps(_mm512_mul_ps(slope, x), foot);
    __mmask16 beyond = _mm512_cmpgt_epi32_mask(value, _mm512_set1_epi32(10));
    return _mm512_mask_mov_ps(line, beyond, follow(curve, 4, _mm512_srli_epi32(value, 3), x));
}

/* 16 pixels that lie one byte or three bytes apart, a number of 32 bits each: of three bytes the
   first one is the lowest. */
WIDE_INLINE __m512i load16(const uint8_t *from, int step)
{
    if (step == 1)
        return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
    const __m512i four = _mm512_setr_epi32(0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 0, 9, 10, 11, 0);
    const __m512i spread = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
    __m512i bytes = _mm512_inserti32x4(
        _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)from)),
        _mm_loadu_si128((const __m128i *)(from + 32)), 2);
    return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(four, bytes), spread);
}

/* The last pixels of a row with room behind them: of each all its channels, no byte more. */
WIDE_INLINE __m512i load_last(const uint8_t *from, int step, int channels, int n)
{
    uint8_t some[48] = {0};
    memcpy(some, from, (size_t)((n - 1) * step + channels));
    return load16(some, step);
}

WIDE_INLINE void keep(Chunk *c, int i, __m512i index, __m512 fy)
{
    _mm256_store_si256((__m256i *)(c->index + i), _mm512_cvtepi32_epi16(index));
    _mm512_store_ps(c->fy + i, fy);
}

WIDE_INLINE void wide_gray(const Job *job, const uint8_t *from, int step, int n, Chunk *c)
{
    const Curve f = load_curve(job->f_curve8, 4);
    __m512 foot = _mm512_set1_ps(job->f_curve8[128]), slope = _mm512_set1_ps(job->f_curve8[129]);
    for (int i = 0; i < n; i += 16) {
        const uint8_t *at = from + i * step;
        __m512i value = n - i > 16 ? load16(at, step) : load_last(at, step, 1, n - i);
        value = _mm512_and_si512(value, _mm512_set1_epi32(255));
        keep(c, i, value, follow8(&f, foot, slope, value));
    }
}

WIDE static void wide_gray1(const Job *job, const uint8_t *from, int n, Chunk *c)
{
    wide_gray(job, from, 1, n, c);
}

WIDE static void wide_gray3(const Job *job, const uint8_t *from, int n, Chunk *c)
{
    wide_gray(job, from, 3, n, c);
}

WIDE static void wide_rgb(const Job *job, const uint8_t *from, int n, Chunk *c)
{
    const __m512i byte = _mm512_set1_epi32(255);
    const Curve linear = load_curve(job->linear_curve8, 4), f = load_curve(job->f_curve, 5);
    __m512 foot = _mm512_set1_ps(job->linear_curve8[128]);
    __m512 slope = _mm512_set1_ps(job->linear_curve8[129]);
    for (int i = 0; i < n; i += 16) {
        __m512i rgb = n - i > 16 ? load16(from + i * 3, 3) : load_last(from + i * 3, 3, 3, n - i);
        __m512 red = follow8(&linear, foot, slope, _mm512_and_si512(rgb, byte));
        __m512 green =
            follow8(&linear, foot, slope, _mm512_and_si512(_mm512_srli_epi32(rgb, 8), byte));
        __m512 blue = follow8(&linear, foot, slope, _mm512_srli_epi32(rgb, 16));
        red = _mm512_mul_ps(red, _mm512_set1_ps(job->y_of_rgb[0]));
        green = _mm512_mul_ps(green, _mm512_set1_ps(job->y_of_rgb[1]));
        blue = _mm512_mul_ps(blue, _mm512_set1_ps(job->y_of_rgb[2]));
        __m512 light = _mm512_add_ps(_mm512_add_ps(red, green), blue);
        __m512 root = _mm512_sqrt_ps(_mm512_min_ps(light, _mm512_set1_ps(1.0f)));
        root = _mm512_mul_ps(root, _mm512_set1_ps(job->index_max));
        __m512i index = _mm512_cvttps_epi32(_mm512_add_ps(root, _mm512_set1_ps(0.5f)));
        root = _mm512_cvtepi32_ps(index);
        keep(c, i, index, follow(&f, 5, exponent_segment(root), root));
    }
}

WIDE_INLINE __m512 wide_cube(__m512 f)
{
    return _mm512_mul_ps(_mm512_mul_ps(f, f), f);
}

WIDE_INLINE __m512 wide_foot(__m512 f, __m512 epsilon, __m512 of_tangent)
{
    __m512 at = _mm512_max_ps(f, epsilon);
    return _mm512_add_ps(wide_cube(at), _mm512_mul_ps(_mm512_sub_ps(f, at), of_tangent));
}

/* sRGB of one channel, in its lowest byte. */
WIDE_INLINE __m512i wide_encode(const Curve *curve, const float *of, __m512 x, __m512 y, __m512 z,
                                __m512 white)
{
    __m512 light = _mm512_add_ps(_mm512_mul_ps(x, _mm512_set1_ps(of[0])),
                                 _mm512_mul_ps(z, _mm512_set1_ps(of[2])));
    light = _mm512_add_ps(light, _mm512_mul_ps(y, _mm512_set1_ps(of[1])));
    light = _mm512_min_ps(_mm512_max_ps(light, _mm512_setzero_ps()), white);
    light = _mm512_roundscale_ps(light, _MM_FROUND_TO_NEAREST_INT);
    return _mm512_cvttps_epi32(follow(curve, 4, exponent_segment(light), light));
}

WIDE static void wide_write(const Job *job, const Chunk *c, int n, uint8_t *out)
{
    const Curve curve = load_curve(job->encode_curve8, 4);
    __m512 epsilon = _mm512_set1_ps(job->f_epsilon), of_tangent = _mm512_set1_ps(job->of_tangent);
    __m512 white = _mm512_set1_ps(job->white);
    const __m512i three = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    const __m512i close = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 3, 3, 3);
    for (int i = 0; i < n; i += 16, out += 48) {
        __m512 y = _mm512_load_ps(c->fy + i);
        __m512 x = _mm512_add_ps(_mm512_load_ps(c->x + i), y);
        __m512 z = _mm512_add_ps(_mm512_load_ps(c->z + i), y);
        __m512 least = _mm512_min_ps(_mm512_min_ps(x, z), y);
        if (_mm512_cmp_ps_mask(least, epsilon, _CMP_LT_OQ)) { /* something dark */
            x = wide_foot(x, epsilon, of_tangent);
            y = wide_foot(y, epsilon, of_tangent);
            z = wide_foot(z, epsilon, of_tangent);
        } else {
            x = wide_cube(x);
            y = wide_cube(y);
            z = wide_cube(z);
        }
        __m512i red = wide_encode(&curve, job->to_rgb, x, y, z, white);
        __m512i green = wide_encode(&curve, job->to_rgb + 3, x, y, z, white);
        __m512i blue = wide_encode(&curve, job->to_rgb + 6, x, y, z, white);
        __m512i pixel = _mm512_or_si512(_mm512_slli_epi32(green, 8), _mm512_slli_epi32(blue, 16));
        pixel = _mm512_shuffle_epi8(_mm512_or_si512(pixel, red), three);
        pixel = _mm512_permutexvar_epi32(close, pixel);
        if (n - i >= 16) {
            _mm512_mask_storeu_epi32(out, 0x0FFF, pixel);
        } else {
            uint8_t last[64];
            _mm512_storeu_si512(last, pixel);
            memcpy(out, last, 3 * (size_t)(n - i));
        }
    }
}

/* Whether f(Y) and numbers of n pixels have been read; and whether they have been written. */
static int read_wide(const Job *job, const uint8_t *from, int n, Chunk *c)
{
    if (!is_wide(job))
        return 0;
    if (job->channels == 1 && job->pixel_step == 1)
        wide_gray1(job, from, n, c);
    else if (job->channels == 1 && job->pixel_step == 3)
        wide_gray3(job, from, n, c);
    else if (job->channels == 3 && job->pixel_step == 3 && job->channel_step == 1)
        wide_rgb(job, from, n, c);
    else
        return 0;
    return 1;
}

static int write_wide(const Job *job, const Chunk *c, int n, uint8_t *out)
{
    if (!is_wide(job))
        return 0;
    wide_write(job, c, n, out);
    return 1;
}
#else
static int is_wide(const Job *job)
{
    (void)job;
    return 0;
}

static int read_wide(const Job *job, const uint8_t *from, int n, Chunk *c)
{
    (void)job, (void)from, (void)n, (void)c;
    return 0;
}

static int write_wide(const Job *job, const Chunk *c, int n, uint8_t *out)
{
    (void)job, (void)c, (void)n, (void)out;
    return 0;
}
#endif

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
    if (read_wide(job, from, n, c))
        return;
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
    uint8_t *out = job->out + (y * job->width + left) * 3 * job->depth;
    if (write_wide(job, &c, n, out))
        return;
    to_light(job, &c, n);
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

/* Whether the three channels of a picture, side by side, are equal everywhere: eight bytes at a time
   beside the same ones of the next channel, but for what the last channel stands beside. */
int32_t recolor_is_gray(const Job *job)
{
    size_t depth = (size_t)job->depth, row = (size_t)job->width * 3 * depth;
    uint8_t pattern[24];
    uint64_t masks[3];
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i / depth % 3 == 2 ? 0 : 255;
    memcpy(masks, pattern, sizeof masks);
    for (int64_t y = 0; y < job->height; y++) {
        const uint8_t *from = job->pixels + y * job->row_step;
        uint64_t differ = 0;
        size_t at = 0;
        for (; at + 24 + depth <= row; at += 24)
            for (size_t k = 0; k < 3; k++) {
                uint64_t one, next;
                memcpy(&one, from + at + 8 * k, 8);
                memcpy(&next, from + at + 8 * k + depth, 8);
                differ |= (one ^ next) & masks[k];
            }
        for (; at + depth < row; at++)
            differ |= (uint64_t)((from[at] ^ from[at + depth]) & pattern[at % 24]);
        if (differ)
            return 0;
    }
    return 1;
}

/* Whether pictures of 8 bits go through AVX-512 here. */
int32_t recolor_is_wide(void)
{
    Job job = {.depth = 1};
    return is_wide(&job);
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
