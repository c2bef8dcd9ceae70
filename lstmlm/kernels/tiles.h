/* Products in bfloat16 with float32 sums, by the matrix tiles (AMX) of Xeons since the 4th generation, or the same in C.

   A tile of A has 16 rows of 32 numbers, row-major. A tile of B has 32 rows of 16 columns; rows 2p and 2p + 1 are side by
   side, column by column. Both have 512 numbers, 1 KB. The sum of a tile is, for each row and column,

       even = sum of a[2p] b[2p], odd = sum of a[2p+1] b[2p+1], p = 0 .. 15, each product added with one rounding
       C += even + odd

   with numbers below 2^-126 taken as 0, and results below it written as 0: so the processor does it, and so `emulate` does,
   bit for bit. (A product of two bfloat16 is exact in float32: it does not matter whether it is rounded before it is added.)

   The path through the tiles has not been run yet: it was written on a machine without them. */

#ifndef TILES_H
#define TILES_H

#include <stdint.h>
#include <string.h>

#include "vectors.h"

#if defined(__x86_64__) && defined(__linux__)
#define HAS_TILES 1
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xmmintrin.h>
#else
#define HAS_TILES 0
#endif

typedef uint16_t bf16;
typedef int16_t halves __attribute__((vector_size(2 * WIDTH)));
typedef int32_t two __attribute__((may_alias)); /* two bfloat16 */
typedef ints twos __attribute__((may_alias));

enum { SIDE = 16, DEPTH = 32, TILE = SIDE * DEPTH, SUMS = SIDE * SIDE, MOST_TILES = 4 };

/* Conversions to bfloat16: to nearest, ties to even. NaN stays NaN, as the processor makes it. */

INLINE ints round_upper(vec x) { /* the bfloat16 is the upper half of each number */
    ints bits = (ints)x;
    return bits + (((bits >> 16) & 1) + 0x7fff);
}

INLINE ints pair(vec low, vec high) { return ((round_upper(low) >> 16) & 0xffff) | (round_upper(high) & -65536); }

/* SIDE numbers, of which n exist, as as many bfloat16; the others are 0 */
INLINE void store_bf16(bf16 *to, const float *from, int n) {
    UNROLL for (int v = 0; v < SIDE; v += WIDTH)
        *(halves *)(to + v) = __builtin_convertvector(round_upper(load(from + v, max(0, n - v))) >> 16, halves);
}

/* SIDE pairs of the numbers of two rows, of which n exist; a row is NULL for zeros */
INLINE void store_pairs(bf16 *to, const float *low, const float *high, int n) {
    UNROLL for (int v = 0; v < SIDE; v += WIDTH)
        *(twos *)(to + 2 * v) = pair(low ? load(low + v, max(0, n - v)) : splat(0),
                                     high ? load(high + v, max(0, n - v)) : splat(0));
}

/* The pairs of a tile with rows and columns exchanged */
static void transpose_pairs(bf16 *to, const bf16 *from) {
    two *out = (two *)to;
    const two *in = (const two *)from;
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < SIDE; c++) out[c * SIDE + r] = in[r * SIDE + c];
}

/* sums (count, 16, 16) = the sum over k of tile k of A times each of the `count` tiles k of B, which are consecutive */
static NOINLINE void emulate(const bf16 *A, const bf16 *B, int tiles, int count, float *sums) {
#if HAS_TILES
    unsigned before = _mm_getcsr();
    _mm_setcsr((before & ~0x6000u) | 0x8040); /* round to nearest; denormals are zeros, in and out */
#endif
    memset(sums, 0, sizeof(float) * SUMS * count);
    for (int k = 0; k < tiles; k++, A += TILE)
        for (int j = 0; j < count; j++, B += TILE)
            for (int r = 0; r < SIDE; r++)
                for (int c = 0; c < SIDE; c += WIDTH) {
                    vec even = {0}, odd = {0};
                    for (int p = 0; p < SIDE; p++) {
                        ints a = ((const two *)A)[r * SIDE + p] - (ints){0}, b = *(const twos *)(B + p * DEPTH + 2 * c);
                        even = add_product(even, (vec)(a << 16), (vec)(b << 16));
                        odd = add_product(odd, (vec)(a & -65536), (vec)(b & -65536));
                    }
                    *(vec *)(sums + j * SUMS + r * SIDE + c) += even + odd;
                }
#if HAS_TILES
    _mm_setcsr(before);
#endif
}

#if HAS_TILES

/* The compiler knows nothing of the tile registers, so it is told that each instruction reads and writes memory */
#define USES_TILES __attribute__((target("amx-tile,amx-bf16"), noinline))
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t ::: "memory")
#define TILE_LOAD(t, from) __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(from), "r"((int64_t)64) : "memory")
#define TILE_STORE(t, to) __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(to), "r"((int64_t)64) : "memory")
#define TILE_PRODUCT(sum, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sum ::: "memory")

/* As `emulate`. Registers 0 to 3 are the sums, 4 is the tile of A, 5 to 7 are tiles of B. */
static USES_TILES void multiply_tiles(const bf16 *A, const bf16 *B, int tiles, int count, float *sums) {
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (int k = 0; k < tiles; k++, A += TILE, B += count * TILE) {
        TILE_LOAD(4, A);
        TILE_LOAD(5, B);
        TILE_PRODUCT(0, 4, 5);
        if (count > 1) {
            TILE_LOAD(6, B + TILE);
            TILE_PRODUCT(1, 4, 6);
        }
        if (count > 2) {
            TILE_LOAD(7, B + 2 * TILE);
            TILE_PRODUCT(2, 4, 7);
        }
        if (count > 3) {
            TILE_LOAD(5, B + 3 * TILE);
            TILE_PRODUCT(3, 4, 5);
        }
    }
    TILE_STORE(0, sums);
    if (count > 1) TILE_STORE(1, sums + SUMS);
    if (count > 2) TILE_STORE(2, sums + 2 * SUMS);
    if (count > 3) TILE_STORE(3, sums + 3 * SUMS);
}

/* The shape of the tiles belongs to a thread: each call sets it and gives the registers back (90 ns) */
static USES_TILES void open_tiles(void) {
    struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        shape.bytes[t] = 64;
        shape.rows[t] = SIDE;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(shape) : "memory");
}
static USES_TILES void close_tiles(void) { __asm__ volatile("tilerelease" ::: "memory"); }

/* 1: this process may use tiles; 0: the processor has none; -1: the system refuses them */
static int ask_for_tiles(void) {
    enum { REQUEST = 0x1023, TILE_DATA = 18, HAS_BF16 = 1 << 22, HAS_TILE = 1 << 24 };
    unsigned a, b, c, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & HAS_BF16) || !(d & HAS_TILE)) return 0;
    return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) ? -1 : 1;
}

#else
static void multiply_tiles(const bf16 *A, const bf16 *B, int tiles, int count, float *sums) {
    emulate(A, B, tiles, count, sums);
}
static void open_tiles(void) {}
static void close_tiles(void) {}
static int ask_for_tiles(void) { return 0; }
#endif

#endif
