/* Vectors of floats, as wide as the processor's registers, and the activations of a cell: for both kernels. */

#ifndef VECTORS_H
#define VECTORS_H

#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#include <stdint.h>

#if defined(__AVX512F__)
#define WIDTH 16
#elif defined(__AVX__)
#define WIDTH 8
#else
#define WIDTH 4
#endif

/* Keep a loaded vector in a register: GCC would load it again for each use, and the number of loads limits the speed */
#if defined(__GNUC__) && !defined(__clang__) && defined(__SSE__)
#define HOLD(v) __asm__("" : "+v"(v))
#else
#define HOLD(v)
#endif

typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef float loose __attribute__((vector_size(4 * WIDTH), aligned(4))); /* at any address */
typedef int32_t ints __attribute__((vector_size(4 * WIDTH)));

#define MOST 6 /* largest number of vectors for one call of `activate` */

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* Loads and stores. The last vector of a row may be short: only n of its WIDTH numbers exist. */

INLINE int min(int a, int b) { return a < b ? a : b; }
INLINE int max(int a, int b) { return a > b ? a : b; }
INLINE int blocks(int of, int size) { return (of + size - 1) / size; }
INLINE vec splat(float x) { return x - (vec){0}; }

/* sum + a * b, rounded once where the processor can: the compiler is told to round each operation as it is written
   (-ffp-contract=off), so that a kernel gives the same bits whatever the width */
INLINE vec add_product(vec sum, vec a, vec b) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, sum);
#elif defined(__FMA__)
    return _mm256_fmadd_ps(a, b, sum);
#elif defined(__ARM_FEATURE_FMA) && defined(__aarch64__)
    return vfmaq_f32(sum, a, b);
#else
    return sum + a * b;
#endif
}

static NOINLINE vec load_short(const float *from, int n) {
    vec v = {0};
    for (int i = 0; i < n; i++) v[i] = from[i];
    return v;
}

static NOINLINE void store_short(float *to, vec v, int n) {
    for (int i = 0; i < n; i++) to[i] = v[i];
}

INLINE vec load(const float *from, int n) { return n >= WIDTH ? *(const loose *)from : load_short(from, n); }

INLINE void store(float *to, vec v, int n) {
    if (n >= WIDTH)
        *(loose *)to = v;
    else
        store_short(to, v, n);
}

INLINE vec clamp(vec x, float low, float high) { /* NaN stays NaN */
#if defined(__AVX512F__)
    return _mm512_min_ps(splat(high), _mm512_max_ps(splat(low), x));
#elif defined(__AVX__)
    return _mm256_min_ps(splat(high), _mm256_max_ps(splat(low), x));
#else
    ints below = x < splat(low), above = x > splat(high);
    return (vec)((~below & ~above & (ints)x) | (below & (ints)splat(low)) | (above & (ints)splat(high)));
#endif
}

/* x = e^x - 1 for each of `count` vectors: e^x - 1 = (2^n - 1) + 2^n (e^r - 1) with |r| <= log(2) / 2, and
   e^r - 1 = r + r^2 p(r), its series with coefficients adjusted to spread the error evenly: 1e-7 relative. Each operation
   is done for all vectors before the next operation: an operation depends on the previous one of the same vector, so four
   or five independent vectors are needed to keep a processor busy. */
INLINE void exp_minus_1(int count, vec *x) {
    const float rounder = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, which is then in the last bits */
    vec power[MOST], r[MOST], p[MOST];
#define EACH UNROLL for (int j = 0; j < count; j++)
    EACH x[j] = clamp(x[j], -87, 87);
    EACH power[j] = x[j] * 1.44269504f + rounder;
    EACH p[j] = power[j] - rounder;
    EACH power[j] = (vec)(((ints)power[j] << 23) + (127 << 23));
    EACH r[j] = (x[j] - p[j] * 0.693359375f) + p[j] * 2.12194440e-4f; /* log(2) in two parts */
    EACH p[j] = r[j] * 1.3814540580e-3f + 8.3687454462e-3f;
    EACH p[j] = p[j] * r[j] + 4.1668388993e-2f;
    EACH p[j] = p[j] * r[j] + 1.6666521132e-1f;
    EACH p[j] = p[j] * r[j] + 4.9999994040e-1f;
    EACH p[j] = p[j] * r[j];
    EACH p[j] = p[j] * r[j] + r[j];
    EACH x[j] = power[j] * p[j] + (power[j] - 1);
#undef EACH
}

/* sigmoid x = 1 / (e^-x + 1) for the first vectors, tanh x = (e^2x - 1) / (e^2x + 1) for the others, accurate to the last
   bits near 0 too */
INLINE void activate(int sigmoids, int count, vec *x) {
    vec share[MOST];
    UNROLL for (int j = 0; j < count; j++) x[j] = j < sigmoids ? -x[j] : x[j] + x[j];
    exp_minus_1(count, x);
    UNROLL for (int j = 0; j < count; j++) share[j] = 1 / (x[j] + 2);
    UNROLL for (int j = 0; j < count; j++) x[j] = j < sigmoids ? share[j] : x[j] * share[j];
}

#endif
