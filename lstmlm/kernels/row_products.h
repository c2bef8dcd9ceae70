/* Products of a few rows with a matrix, whose weights are float32, bfloat16 or int8: for the step of lstm_step.c.

   The time of such a product is that of reading the weights, each of which is used once: half as many bytes take half the
   time. The numbers of x are between -1 and 1. For small weights they are rounded to integers, divided by a constant:

       float32   x as it is; products and sums rounded one by one
       bfloat16  x in 1/2^15, 16 bits: its products with the 8 bits of a weight are exact in float32, so it does not matter
                 whether the processor rounds a product before it adds it (FMA)
       int8      x in 1/2047, 12 bits; the sums are exact; a column has a scale, which has the 1/2047 in it

   So all three give the same bits whatever the width of the vectors.

   Weights are in panels of VECS vectors of columns. A line of a panel is a number k of x; for small weights it is two
   numbers, k and k + 1, side by side in each column, and a line of zeros fills an odd K. Behind an int8 matrix are the
   scales of its columns, float32. */

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "vectors.h"

#if defined(__AVX512F__) || defined(__aarch64__)
#define ROWS 6 /* 32 registers */
#else
#define ROWS 2 /* 16 registers */
#endif

enum { VECS = 4, PANEL = VECS * WIDTH /* columns of a panel */ };
enum { FLOAT32, BF16, INT8 }; /* kinds of weights, in the order of WEIGHTS in settings/sampling.py */

typedef int16_t shorts __attribute__((vector_size(4 * WIDTH)));
typedef int8_t bytes __attribute__((vector_size(2 * WIDTH)));
typedef int32_t two __attribute__((may_alias)); /* two int16 */

/* The lines of a matrix with K rows, and its size in bytes */
INLINE int lines_of(int kind, int K) { return kind == FLOAT32 ? K : blocks(K, 2); }
INLINE int64_t matrix_bytes(int kind, int K, int columns) {
    int64_t numbers = (int64_t)K * columns, pairs = (int64_t)lines_of(kind, K) * 2 * columns;
    return kind == FLOAT32 ? 4 * numbers : kind == BF16 ? 2 * pairs : pairs + 4 * columns;
}

/* int8 as int16, two in each int32 */
INLINE ints widen(const bytes *from) {
#if defined(__AVX512BW__)
    return (ints)_mm512_cvtepi8_epi16(*(const __m256i *)from);
#elif defined(__AVX2__) && !defined(__AVX512F__)
    return (ints)_mm256_cvtepi8_epi16(*(const __m128i *)from);
#else
    return (ints)__builtin_convertvector(*from, shorts);
#endif
}

/* sum + a0 b0 + a1 b1 for the two int16 in each int32 */
INLINE ints add_pairs(ints sum, ints a, ints b) {
#if defined(__AVX512VNNI__)
    return (ints)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVX512BW__)
    return sum + (ints)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && !defined(__AVX512F__)
    return sum + (ints)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__) && !defined(__AVX__)
    return sum + (ints)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}

/* The tiles: out = start + x W for `rows` rows of x and `panels` consecutive panels of W. A line of out has ldo floats;
   start is one line, or NULL for zeros. rows and panels are constants where these are inlined. */

#define EACH_ROW UNROLL for (int r = 0; r < rows; r++)
#define EACH_VEC UNROLL for (int j = 0; j < panels * VECS; j++)

INLINE void tile_float32(int rows, int panels, const float *x, int K, const float *W, const float *start, float *out,
                         int ldo) {
    vec acc[ROWS][2 * VECS];
    EACH_ROW EACH_VEC acc[r][j] = start ? *(const vec *)(start + j * WIDTH) : splat(0);
    for (int k = 0; k < K; k++, W += PANEL) {
        vec w[2 * VECS];
        EACH_VEC {
            w[j] = *(const vec *)(W + (int64_t)(j / VECS) * K * PANEL + j % VECS * WIDTH);
            if (rows > 1) HOLD(w[j]);
        }
        EACH_ROW {
            vec s = splat(x[r * K + k]);
            EACH_VEC acc[r][j] += s * w[j];
        }
    }
    EACH_ROW EACH_VEC *(vec *)(out + r * ldo + j * WIDTH) = acc[r][j];
}

/* x (rows, 2 * lines) in float32 */
INLINE void tile_bf16(int rows, int panels, const float *x, int lines, const int32_t *W, const float *start, float *out,
                      int ldo) {
    vec acc[ROWS][2 * VECS];
    EACH_ROW EACH_VEC acc[r][j] = start ? *(const vec *)(start + j * WIDTH) : splat(0);
    for (int k = 0; k < lines; k++, W += PANEL) {
        ints w[2 * VECS];
        EACH_VEC w[j] = *(const ints *)(W + (int64_t)(j / VECS) * lines * PANEL + j % VECS * WIDTH);
        EACH_ROW {
            vec one = splat(x[(r * lines + k) * 2]), other = splat(x[(r * lines + k) * 2 + 1]);
            EACH_VEC {
                acc[r][j] = add_product(acc[r][j], one, (vec)(w[j] << 16)); /* a bfloat16 is the upper half of a float */
                acc[r][j] = add_product(acc[r][j], other, (vec)(w[j] & -65536));
            }
        }
    }
    EACH_ROW EACH_VEC *(vec *)(out + r * ldo + j * WIDTH) = acc[r][j];
}

/* x (rows, lines) pairs of int16; scale is that of the first column */
INLINE void tile_int8(int rows, int panels, const two *x, int lines, const int8_t *W, const float *scale,
                      const float *start, float *out, int ldo) {
    ints acc[ROWS][2 * VECS];
    EACH_ROW EACH_VEC acc[r][j] = (ints){0};
    for (int k = 0; k < lines; k++, W += 2 * PANEL) {
        ints w[2 * VECS];
        EACH_VEC w[j] = widen((const bytes *)(W + (int64_t)(j / VECS) * lines * 2 * PANEL + j % VECS * 2 * WIDTH));
        EACH_ROW {
            ints pair = x[r * lines + k] - (ints){0};
            EACH_VEC acc[r][j] = add_pairs(acc[r][j], pair, w[j]);
        }
    }
    EACH_ROW EACH_VEC {
        vec sum = __builtin_convertvector(acc[r][j], vec) * *(const vec *)(scale + j * WIDTH);
        *(vec *)(out + r * ldo + j * WIDTH) = start ? *(const vec *)(start + j * WIDTH) + sum : sum;
    }
}

#undef EACH_ROW
#undef EACH_VEC

/* A product: x (N, K) as the tiles of its kind take it, W in panels, which are taken in order or, if `back`, in reverse
   order; out and start as above, with lines of `columns` */
typedef struct {
    int N, K, columns, back;
    const void *x, *W;
    const float *start;
    float *out;
} Product;

/* `panels` panels from number p on, for `rows` rows from row r on */
INLINE void tile(int kind, int rows, int panels, const Product *of, int p, int r) {
    int at = p * PANEL, lines = lines_of(kind, of->K);
    const float *start = of->start ? of->start + at : NULL;
    float *out = of->out + (int64_t)r * of->columns + at;
    const char *W = (const char *)of->W + (int64_t)p * lines * PANEL * (kind == INT8 ? 2 : 4);
    const char *x = (const char *)of->x + (int64_t)r * lines * (kind == BF16 ? 8 : 4);
    if (kind == FLOAT32) tile_float32(rows, panels, (const float *)x, lines, (const float *)W, start, out, of->columns);
    if (kind == BF16) tile_bf16(rows, panels, (const float *)x, lines, (const int32_t *)W, start, out, of->columns);
    if (kind == INT8) {
        const char *scales = (const char *)of->W + (int64_t)lines * 2 * of->columns;
        tile_int8(rows, panels, (const two *)x, lines, (const int8_t *)W, (const float *)scales + at, start, out,
                  of->columns);
    }
}

INLINE void product_of(int kind, const Product *of) {
    int panels = of->columns / PANEL, N = of->N, together = N == 1 ? 2 : 1;
    for (int i = 0; i < panels; i += together) {
        int p = of->back ? panels - i - min(together, panels - i) : i;
        if (N == 1 && panels - i > 1) {
            tile(kind, 1, 2, of, p, 0);
            continue;
        }
        for (int r = 0; r < N; r += ROWS) {
            switch (min(ROWS, N - r)) {
            case 1: tile(kind, 1, 1, of, p, r); break;
            case 2: tile(kind, 2, 1, of, p, r); break;
#if ROWS > 2
            case 3: tile(kind, 3, 1, of, p, r); break;
            case 4: tile(kind, 4, 1, of, p, r); break;
            case 5: tile(kind, 5, 1, of, p, r); break;
            case 6: tile(kind, 6, 1, of, p, r); break;
#endif
            }
        }
    }
}

static NOINLINE void product_float32(const Product *of) { product_of(FLOAT32, of); }
static NOINLINE void product_bf16(const Product *of) { product_of(BF16, of); }
static NOINLINE void product_int8(const Product *of) { product_of(INT8, of); }

/* The integer next to x * steps */
INLINE int32_t round_to(float x, float steps) {
    const float rounder = 12582912.0f; /* 1.5 * 2^23: the sum has the integer in its last bits */
    union { float sum; int32_t bits; } all = {.sum = (x > 1 ? 1 : x < -1 ? -1 : x) * steps + rounder};
    return all.bits - 0x4b400000;
}

/* out = start + x W for weights of a kind; x (N, K) in float32, of numbers between -1 and 1 for small weights. `rounded`
   has space for N (K + 1) floats. */
static void product(int kind, int N, const float *x, int K, const void *W, const float *start, float *out, int columns,
                    int back, void *rounded) {
    Product of = {N, K, columns, back, x, W, start, out};
    if (kind == FLOAT32) {
        product_float32(&of);
        return;
    }
    int even = 2 * lines_of(kind, K);
    of.x = rounded;
    for (int r = 0; r < N; r++)
        for (int k = 0; k < even; k++) {
            float number = k < K ? x[(int64_t)r * K + k] : 0;
            int64_t at = (int64_t)r * even + k;
            if (kind == BF16)
                ((float *)rounded)[at] = round_to(number, 32768) * (1.0f / 32768);
            else
                ((int16_t *)rounded)[at] = round_to(number, 2047);
        }
    (kind == BF16 ? product_bf16 : product_int8)(&of);
}
