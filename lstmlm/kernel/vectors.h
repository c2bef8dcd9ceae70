/* Vectors of floats, as wide as the processor has them, and the functions of a cell. For lstm.c and step.c. */

#if defined(__AVX__)
#include <immintrin.h>
#endif
#include <stdint.h>

#if defined(__AVX512F__)
#define WIDTH 16
#elif defined(__AVX__)
#define WIDTH 8
#else
#define WIDTH 4
#endif

/* Loaded once and kept: GCC would read it from memory again for each use, and loads are what there are too few of */
#if defined(__GNUC__) && !defined(__clang__) && defined(__SSE__)
#define HOLD(v) __asm__("" : "+v"(v))
#else
#define HOLD(v)
#endif

typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef float loose __attribute__((vector_size(4 * WIDTH), aligned(4))); /* at any address */
typedef int32_t ints __attribute__((vector_size(4 * WIDTH)));

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* Vectors. The last of a row may be short: n of its WIDTH numbers are there. */

INLINE int min(int a, int b) { return a < b ? a : b; }
INLINE int max(int a, int b) { return a > b ? a : b; }
INLINE int blocks(int of, int size) { return (of + size - 1) / size; }
INLINE vec splat(float x) { return x - (vec){0}; }

static __attribute__((noinline)) vec load_short(const float *from, int n) {
    vec v = {0};
    for (int i = 0; i < n; i++) v[i] = from[i];
    return v;
}

static __attribute__((noinline)) void store_short(float *to, vec v, int n) {
    for (int i = 0; i < n; i++) to[i] = v[i];
}

INLINE vec load(const float *from, int n) { return n >= WIDTH ? *(const loose *)from : load_short(from, n); }

INLINE void store(float *to, vec v, int n) {
    if (n >= WIDTH)
        *(loose *)to = v;
    else
        store_short(to, v, n);
}

INLINE vec clamp(vec x, float low, float high) { /* NaN stays */
#if defined(__AVX512F__)
    return _mm512_min_ps(splat(high), _mm512_max_ps(splat(low), x));
#elif defined(__AVX__)
    return _mm256_min_ps(splat(high), _mm256_max_ps(splat(low), x));
#else
    ints below = x < splat(low), above = x > splat(high);
    return (vec)((~below & ~above & (ints)x) | (below & (ints)splat(low)) | (above & (ints)splat(high)));
#endif
}

/* e^x = 2^n + 2^n (e^r - 1), with |r| <= log(2) / 2: the two terms. e^r - 1 by its series to r^7 with the coefficients
   moved a little to level the error (Cephes, expf): 1e-7 relative. */
INLINE void power(vec x, vec *whole, vec *rest) {
    const float rounder = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, in the last bits */
    vec shifted = x * 1.44269504f + rounder, n = shifted - rounder;
    vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f; /* log(2) in two parts */
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    *whole = (vec)(((ints)shifted << 23) + (127 << 23));
    *rest = *whole * (p * r * r + r);
}

INLINE vec reciprocal(vec x) {
#if defined(__AVX512F__) /* a quarter of the time of a division, right to the last bit or two: 14 bits, doubled by Newton */
    vec r = _mm512_rcp14_ps(x);
    return r + r * (1 - x * r);
#else
    return 1 / x;
#endif
}

INLINE vec sigmoid(vec x) {
    vec whole, rest;
    power(clamp(-x, -87, 87), &whole, &rest);
    return reciprocal(1 + whole + rest);
}

INLINE vec hyperbolic(vec x) { /* tanh x = (e^2x - 1) / (e^2x + 1), right to the last bits near 0 too */
    vec whole, rest;
    power(clamp(x + x, -20, 20), &whole, &rest);
    vec m = (whole - 1) + rest;
    return m * reciprocal(m + 2);
}
