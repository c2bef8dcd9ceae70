/* One LSTM layer over a whole sequence, and its gradient, in float32: what lstmlm/fused.py says in PyTorch.

   T = steps, B = batch, H = hidden, D = inputs, the width of what comes in. Arrays are dense and row-major.

       X (T, B, D), or ids (T, B)    W_x (D, 4H)   W_h (H, 4H)   b (4H)    the four gates side by side: I, F, O, C~
       Hs, Cs (T+1, B, H)            states; [0] is the one before the first step

   Forward, for t = 0 .. T-1:

       [I, F, O, C~] = sigmoid, sigmoid, sigmoid, tanh of (X_t W_x + b + Hs_t W_h)
       Cs_t+1 = F * Cs_t + I * C~            Hs_t+1 = O * tanh(Cs_t+1)

   Backward, for t = T-1 .. 0; dG is the gradient of the sums in the brackets, dH and dC come back from step t+1:

       dH   = dY_t + dG_t+1 W_h^T            dC = dC_t+1 * F_t+1 + dH * O * (1 - tanh(Cs_t+1)^2)
       dG_t = [dC * C~ * I(1 - I),  dC * Cs_t * F(1 - F),  dH * tanh(Cs_t+1) * O(1 - O),  dC * I * (1 - C~^2)]

   and then dX = dG W_x^T, dW_x = X^T dG, dW_h = Hs^T dG, db = sum of dG, over all steps at once.

   Nearly all time goes into products of rows with a matrix, and all of these go through `multiply`. Its blocking, from
   the inside out:

       registers   a tile is ROWS rows by 4 vectors of WIDTH columns, 4 * ROWS accumulators: a number once loaded is used
                   4 or ROWS times. In the products that give gates the 4 vectors are the 4 gates of WIDTH units, so that
                   the sums end with all that a unit needs in registers, and its cell is finished there.
       L1, L2      a panel is the part of the matrix that meets one tile: 4 vectors of each line, copied to lie in the
                   order in which they are read. All rows pass over a panel before the next.
       threads     the layer: blocks of the batch times blocks of units. Rows do not depend on each other, so threads with
                   rows of their own never wait. Units need all of Hs_t, so threads with units of their own meet after
                   each step, but each reads only its part of W_h: better when that outgrows a core's cache.

   gates and dG are kept as the tiles leave them, (T, B, panels, 4, WIDTH), units filled up with zeros to whole vectors.
   Every sum runs in one order, whatever the blocks: a result depends neither on the threads nor on the rest of the batch. */

#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define WIDTH 16
#elif defined(__AVX__)
#define WIDTH 8
#else
#define WIDTH 4
#endif
#if defined(__AVX512F__) || defined(__aarch64__)
#define ROWS 6 /* 32 registers */
#else
#define ROWS 3 /* 16 registers */
#endif
enum {
    PANEL = 4 * WIDTH,  /* floats of a line */
    STRIP = 4096 / PANEL, /* lines of 16 KB: a panel that is read once by many rows */
    CHUNK = 16 * ROWS   /* rows that stay in L2 while all panels pass by */
};

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
    ints below = x < splat(low), above = x > splat(high);
    return (vec)((~below & ~above & (ints)x) | (below & (ints)splat(low)) | (above & (ints)splat(high)));
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

INLINE vec sigmoid(vec x) {
    vec whole, rest;
    power(clamp(-x, -87, 87), &whole, &rest);
    return 1 / (1 + whole + rest);
}

INLINE vec hyperbolic(vec x) { /* tanh x = (e^2x - 1) / (e^2x + 1), right to the last bits near 0 too */
    vec whole, rest;
    power(clamp(x + x, -20, 20), &whole, &rest);
    vec m = (whole - 1) + rest;
    return m / (m + 2);
}

/* The products */

/* acc[r] += sum over k of x[r * row + k * step] times line k of the panel; `rows` is a constant where this is inlined */
INLINE void multiply(int rows, int depth, const float *x, int64_t row, int64_t step, const float *panel, vec acc[][4]) {
    vec a[ROWS][4];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < 4; j++) a[r][j] = acc[r][j];
    for (int k = 0; k < depth; k++, x += step, panel += PANEL) {
        vec s[ROWS];
        UNROLL for (int r = 0; r < rows; r++) s[r] = splat(x[r * row]);
        UNROLL for (int j = 0; j < 4; j++) {
            vec w = *(const vec *)(panel + j * WIDTH);
            HOLD(w);
            UNROLL for (int r = 0; r < rows; r++) a[r][j] += s[r] * w;
        }
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < 4; j++) acc[r][j] = a[r][j];
}

/* Rows first .. last in tiles: as few as there can be, of nearly equal height. tile(rows, row, ...) with constant rows. */
#define TILES(first, last, tile, ...)                                                    \
    for (int all = (last) - (first), tiles = (all + ROWS - 1) / ROWS, i = 0; i < tiles; i++) { \
        int row = (first) + all * i / tiles;                                             \
        switch ((first) + all * (i + 1) / tiles - row) {                                 \
        case 1: tile(1, row, __VA_ARGS__); break;                                        \
        case 2: tile(2, row, __VA_ARGS__); break;                                        \
        case 3: tile(3, row, __VA_ARGS__); break;                                        \
        MORE_ROWS(tile, __VA_ARGS__)                                                     \
        }                                                                                \
    }
#if ROWS == 6
#define MORE_ROWS(tile, ...)                      \
    case 4: tile(4, row, __VA_ARGS__); break;     \
    case 5: tile(5, row, __VA_ARGS__); break;     \
    case 6: tile(6, row, __VA_ARGS__); break;
#else
#define MORE_ROWS(tile, ...)
#endif

INLINE int panels_of(int columns, int width) { return (columns + width - 1) / width; }
INLINE int share(int of, int part, int parts) { return (int)((int64_t)of * part / parts); }

/* Floats in a row of gates */
int gate_columns(int hidden) { return panels_of(hidden, WIDTH) * PANEL; }

/* A panel of W (K, 4H): the four gates of units p * WIDTH and on */
static void pack_gates(float *panel, const float *W, int K, int H, int p) {
    for (int j = 0; j < 4; j++)
        for (int k = 0; k < K; k++)
            *(vec *)(panel + k * PANEL + j * WIDTH) = load(W + (int64_t)k * 4 * H + j * H + p * WIDTH, H - p * WIDTH);
}

/* A panel of the transpose of W (N, 4H): rows p * PANEL and on as columns, the lines in the order of gates */
static void pack_transposed(float *panel, const float *W, int N, int H, int p) {
    for (int line = 0; line < gate_columns(H); line += WIDTH) {
        int gate = line / WIDTH % 4, unit = line / PANEL * WIDTH;
        for (int c = 0; c < PANEL; c += WIDTH) {
            const float *from = W + (int64_t)(p * PANEL + c) * 4 * H + gate * H + unit;
            for (int u = 0; u < WIDTH; u++) {
                vec v = {0};
                if (unit + u < H)
                    for (int i = 0; i < WIDTH; i++)
                        if (p * PANEL + c + i < N) v[i] = from[(int64_t)i * 4 * H + u];
                *(vec *)(panel + (line + u) * PANEL + c) = v;
            }
        }
    }
}

/* Threads: those of the pool that PyTorch has anyway, because a second pool would fight with it for the cores. */

static struct {
    void (*parallel)(void (*part)(void *), void *job, unsigned threads, unsigned flags); /* GOMP_parallel */
    int (*size)(void), (*rank)(void);
} team;

void use_team(void *parallel, void *size, void *rank) {
    team.parallel = parallel;
    team.size = size;
    team.rank = rank;
}

typedef struct { int size, rank, met; } Thread;

static Thread this_thread(void) { return (Thread){team.size ? team.size() : 1, team.rank ? team.rank() : 0, 0}; }

static void run(int threads, void (*part)(void *), void *job) {
    if (threads > 1 && team.parallel)
        team.parallel(part, job, threads, 0);
    else
        part(job);
}

/* Wait until all threads of the team are here; `arrived` is theirs in common. */
static void meet(Thread *me, int *arrived) {
    if (me->size == 1) return;
    int everyone = ++me->met * me->size;
    __atomic_add_fetch(arrived, 1, __ATOMIC_ACQ_REL);
    for (int turns = 0; __atomic_load_n(arrived, __ATOMIC_ACQUIRE) < everyone; turns++)
        if (turns > 10000) sched_yield(); /* the other one may wait for this core */
}

static float *floats(int64_t count) { return aligned_alloc(64, (size_t)(count * sizeof(float) + 63) / 64 * 64); }

/* The layer through time */

typedef struct {
    int steps, batch, inputs, hidden, row_blocks, to_start, arrived;
    const int64_t *ids;
    const float *X, *W_x, *W_h, *b, *dY;
    float *gates, *Hs, *Cs, *dG, *dH, *dC, *dX, *dW_x, *dW_h, *db;
    float *panels, *input_panels, *table; /* W_h and W_x packed; b, or with ids each row of W_x + b, as a row of gates */
} Layer;

/* What a thread does of a step: rows first .. last, and panels begin .. end */
typedef struct { int first, last, begin, end, waits; } Part;

static Part part_of(const Layer *layer, const Thread *me, int panels) {
    int rows = min(layer->row_blocks, me->size), columns = me->size / rows;
    int row = me->rank % rows, column = me->rank / rows;
    if (column >= columns) return (Part){0, 0, 0, 0, columns > 1}; /* one too many for this grid */
    return (Part){share(layer->batch, row, rows), share(layer->batch, row + 1, rows), share(panels, column, columns),
                  share(panels, column + 1, columns), columns > 1};
}

/* out (rows, 4 vectors) = start (4 vectors, or NULL: 0) + A (rows, K) times a panel */
INLINE void product_tile(int rows, int row, const float *A, int64_t lda, int K, const float *panel, const float *start,
                         float *out, int64_t ldo, int n) {
    vec acc[ROWS][4];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < 4; j++)
        acc[r][j] = start ? *(const vec *)(start + j * WIDTH) : splat(0);
    multiply(rows, K, A + row * lda, lda, 1, panel, acc);
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < 4; j++)
        store(out + (row + r) * ldo + j * WIDTH, acc[r][j], n - j * WIDTH);
}

/* The gates of units p * WIDTH and on, for `rows` rows at step t */
INLINE void forward_tile(int rows, int row, const Layer *layer, int t, int p, const float *panel) {
    int H = layer->hidden, B = layer->batch, columns = gate_columns(H), u = p * WIDTH, n = H - u;
    int64_t at = (int64_t)t * B + row;
    float *gates = layer->gates + at * columns + p * PANEL, *C = layer->Cs + at * H + u;
    vec acc[ROWS][4], cell[ROWS];
    UNROLL for (int r = 0; r < rows; r++) {
        const float *start = gates + (int64_t)r * columns;
        if (layer->ids) start = layer->table + layer->ids[at + r] * columns + p * PANEL;
        UNROLL for (int j = 0; j < 4; j++) {
            acc[r][j] = *(const vec *)(start + j * WIDTH);
            __builtin_prefetch(gates + (int64_t)r * columns + PANEL + j * WIDTH, 1); /* of the next panel */
        }
    }
    multiply(rows, H, layer->Hs + at * H, H, 1, panel, acc);
    UNROLL for (int r = 0; r < rows; r++) {
        vec I = sigmoid(acc[r][0]), F = sigmoid(acc[r][1]), C_tilda = hyperbolic(acc[r][3]);
        acc[r][0] = I, acc[r][1] = F, acc[r][2] = sigmoid(acc[r][2]), acc[r][3] = C_tilda;
        cell[r] = F * load(C + r * H, n) + I * C_tilda;
        store(C + (B + r) * H, cell[r], n);
        UNROLL for (int j = 0; j < 4; j++) *(vec *)(gates + (int64_t)r * columns + j * WIDTH) = acc[r][j];
    }
    UNROLL for (int r = 0; r < rows; r++)
        store(layer->Hs + (at + B + r) * H + u, acc[r][2] * hyperbolic(cell[r]), n);
}

static void forward(void *data) {
    Layer *layer = data;
    int H = layer->hidden, D = layer->inputs, columns = gate_columns(H), panels = columns / PANEL;
    int64_t all = (int64_t)layer->steps * layer->batch;
    Thread me = this_thread();
    for (int p = share(panels, me.rank, me.size); p < share(panels, me.rank + 1, me.size); p++) {
        pack_gates(layer->panels + (int64_t)p * H * PANEL, layer->W_h, H, H, p);
        if (layer->X) pack_gates(layer->input_panels + (int64_t)p * D * PANEL, layer->W_x, D, H, p);
        for (int d = 0; d < (layer->ids ? D : 1); d++)
            for (int j = 0; j < 4; j++) {
                int u = p * WIDTH;
                vec v = load(layer->b + j * H + u, H - u);
                if (layer->ids) v += load(layer->W_x + ((int64_t)d * 4 + j) * H + u, H - u);
                *(vec *)(layer->table + (int64_t)d * columns + p * PANEL + j * WIDTH) = v;
            }
    }
    meet(&me, &layer->arrived);
    if (layer->X) {
        int last = share(all, me.rank + 1, me.size);
        for (int first = share(all, me.rank, me.size); first < last; first += CHUNK)
            for (int p = 0; p < panels; p++)
                TILES(first, min(first + CHUNK, last), product_tile, layer->X, D, D,
                      layer->input_panels + (int64_t)p * D * PANEL, layer->table + p * PANEL, layer->gates + p * PANEL,
                      columns, PANEL)
        meet(&me, &layer->arrived);
    }
    Part mine = part_of(layer, &me, panels);
    for (int t = 0; t < layer->steps; t++) {
        for (int p = mine.begin; p < mine.end; p++)
            TILES(mine.first, mine.last, forward_tile, layer, t, p, layer->panels + (int64_t)p * H * PANEL)
        if (mine.waits) meet(&me, &layer->arrived);
    }
}

/* dG of units p * PANEL and on, for `rows` rows at step t; t = -1 is the state before the first step */
INLINE void backward_tile(int rows, int row, const Layer *layer, int t, int p, const float *panel) {
    int H = layer->hidden, B = layer->batch, columns = gate_columns(H), u = p * PANEL;
    int64_t at = (int64_t)t * B + row;
    float *dH = layer->dH + (int64_t)row * H + u, *dC = layer->dC + (int64_t)row * H + u;
    const float *dY = layer->dY + at * H + u, *C = layer->Cs + at * H + u, *next = layer->dG + (at + B) * columns;
    vec acc[ROWS][4];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < 4; j++) {
        acc[r][j] = t < layer->steps - 1 ? splat(0) : load(dH + r * H + j * WIDTH, H - u - j * WIDTH);
        if (t >= 0) acc[r][j] += load(dY + r * H + j * WIDTH, H - u - j * WIDTH);
    }
    if (t < layer->steps - 1) multiply(rows, columns, next, columns, 1, panel, acc);
    if (t < 0) {
        UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < 4; j++)
            store(dH + r * H + j * WIDTH, acc[r][j], H - u - j * WIDTH);
        return;
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < 4; j++) {
        int n = H - u - j * WIDTH, here = r * H + j * WIDTH;
        if (n <= 0) break;
        int64_t panel_at = (at + r) * columns + (u + j * WIDTH) * 4;
        const vec *gates = (const vec *)(layer->gates + panel_at);
        vec *dG = (vec *)(layer->dG + panel_at);
        vec I = gates[0], F = gates[1], O = gates[2], C_tilda = gates[3];
        vec shown = hyperbolic(load(C + (int64_t)B * H + here, n));
        vec cell = load(dC + here, n) + acc[r][j] * O * (1 - shown * shown);
        dG[0] = cell * C_tilda * I * (1 - I);
        dG[1] = cell * load(C + here, n) * F * (1 - F);
        dG[2] = acc[r][j] * shown * O * (1 - O);
        dG[3] = cell * I * (1 - C_tilda * C_tilda);
        store(dC + here, cell * F, n);
    }
}

static void backward(void *data) {
    Layer *layer = data;
    int H = layer->hidden, columns = gate_columns(H), panels = panels_of(H, PANEL);
    Thread me = this_thread();
    for (int p = share(panels, me.rank, me.size); p < share(panels, me.rank + 1, me.size); p++)
        pack_transposed(layer->panels + (int64_t)p * columns * PANEL, layer->W_h, H, H, p);
    meet(&me, &layer->arrived);
    Part mine = part_of(layer, &me, panels);
    for (int t = layer->steps - 1; t >= (layer->to_start ? -1 : 0); t--) {
        for (int p = mine.begin; p < mine.end; p++)
            TILES(mine.first, mine.last, backward_tile, layer, t, p, layer->panels + (int64_t)p * columns * PANEL)
        if (mine.waits) meet(&me, &layer->arrived);
    }
}

/* sums (rows, 4 vectors) += columns of A times a panel: A (K, any) is read across */
INLINE void gradient_tile(int rows, int row, const float *A, int64_t lda, int K, const float *panel, float *sums) {
    vec acc[ROWS][4], *to = (vec *)(sums + (int64_t)row * PANEL);
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < 4; j++) acc[r][j] = to[r * 4 + j];
    multiply(rows, K, A + row, 1, lda, panel, acc);
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < 4; j++) to[r * 4 + j] = acc[r][j];
}

/* Rows of gates back to W (rows, 4H), for panel p */
static void unpack_gates(float *W, const float *sums, int rows, int H, int p) {
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < 4; j++)
            store(W + ((int64_t)r * 4 + j) * H + p * WIDTH, *(const vec *)(sums + r * PANEL + j * WIDTH), H - p * WIDTH);
}

/* One panel of dG after the other, in strips of steps: the gradients of its columns of W_h, W_x and b */
static void gradients(void *data) {
    Layer *layer = data;
    int H = layer->hidden, D = layer->inputs, columns = gate_columns(H), panels = columns / PANEL;
    int64_t all = (int64_t)layer->steps * layer->batch;
    Thread me = this_thread();
    float *sums = layer->table + (int64_t)me.rank * (H + D + 1 + STRIP) * PANEL;
    float *sums_x = sums + (int64_t)H * PANEL, *sums_b = sums_x + (int64_t)D * PANEL, *strip = sums_b + PANEL;
    for (int p = share(panels, me.rank, me.size); p < share(panels, me.rank + 1, me.size); p++) {
        memset(sums, 0, sizeof(float) * (H + D + 1) * PANEL);
        for (int64_t k0 = 0; k0 < all; k0 += STRIP) {
            int depth = min(STRIP, all - k0);
            for (int k = 0; k < depth; k++) {
                const vec *from = (const vec *)(layer->dG + (k0 + k) * columns + p * PANEL);
                vec *to = (vec *)(strip + k * PANEL), *b = (vec *)sums_b;
                vec *row = layer->ids ? (vec *)(sums_x + layer->ids[k0 + k] * PANEL) : NULL;
                for (int j = 0; j < 4; j++) {
                    to[j] = from[j];
                    b[j] += from[j];
                    if (row) row[j] += from[j];
                }
            }
            TILES(0, H, gradient_tile, layer->Hs + k0 * H, H, depth, strip, sums)
            if (layer->X) TILES(0, D, gradient_tile, layer->X + k0 * D, D, depth, strip, sums_x)
        }
        unpack_gates(layer->dW_h, sums, H, H, p);
        unpack_gates(layer->dW_x, sums_x, D, H, p);
        unpack_gates(layer->db, sums_b, 1, H, p);
    }
    if (!layer->dX) return;
    int outputs = panels_of(D, PANEL), last = share(all, me.rank + 1, me.size);
    for (int p = share(outputs, me.rank, me.size); p < share(outputs, me.rank + 1, me.size); p++)
        pack_transposed(layer->input_panels + (int64_t)p * columns * PANEL, layer->W_x, D, H, p);
    meet(&me, &layer->arrived);
    for (int first = share(all, me.rank, me.size); first < last; first += CHUNK)
        for (int p = 0; p < outputs; p++)
            TILES(first, min(first + CHUNK, last), product_tile, layer->dG, columns, columns,
                  layer->input_panels + (int64_t)p * columns * PANEL, NULL, layer->dX + p * PANEL, D, D - p * PANEL)
}

/* The three calls; 0 if there is no memory for what is packed. row_blocks is how many of the threads the batch is split
   over; the units are split over the rest. */

static int run_layer(Layer layer, void (*part)(void *), int threads, int64_t panels, int64_t input_panels, int64_t table) {
    float *memory = floats(panels + input_panels + table);
    if (!memory) return 0;
    layer.panels = memory;
    layer.input_panels = memory + panels;
    layer.table = memory + panels + input_panels;
    run(threads, part, &layer);
    free(memory);
    return 1;
}

int layer_forward(int steps, int batch, int inputs, int hidden, const float *X, const int64_t *ids, const float *W_x,
                  const float *W_h, const float *b, float *gates, float *Hs, float *Cs, int row_blocks, int threads) {
    Layer layer = {.steps = steps, .batch = batch, .inputs = inputs, .hidden = hidden, .X = X, .ids = ids, .W_x = W_x,
                   .W_h = W_h, .b = b, .gates = gates, .Hs = Hs, .Cs = Cs, .row_blocks = row_blocks};
    int64_t columns = gate_columns(hidden);
    return run_layer(layer, forward, threads, hidden * columns, X ? inputs * columns : 0, ids ? inputs * columns : columns);
}

/* dH and dC come in as the gradients of the last state and go out as those of the first (dH only if to_start) */
int layer_backward(int steps, int batch, int hidden, const float *W_h, float *gates, float *Cs, const float *dY, float *dG,
                   float *dH, float *dC, int to_start, int row_blocks, int threads) {
    Layer layer = {.steps = steps, .batch = batch, .hidden = hidden, .W_h = W_h, .gates = gates, .Cs = Cs, .dY = dY,
                   .dG = dG, .dH = dH, .dC = dC, .to_start = to_start, .row_blocks = row_blocks};
    return run_layer(layer, backward, threads, (int64_t)panels_of(hidden, PANEL) * PANEL * gate_columns(hidden), 0, 0);
}

/* dX may be NULL: not wanted */
int layer_gradients(int steps, int batch, int inputs, int hidden, const float *X, const int64_t *ids, const float *W_x,
                    float *Hs, float *dG, float *dX, float *dW_x, float *dW_h, float *db, int threads) {
    Layer layer = {.steps = steps, .batch = batch, .inputs = inputs, .hidden = hidden, .X = X, .ids = ids, .W_x = W_x,
                   .Hs = Hs, .dG = dG, .dX = dX, .dW_x = dW_x, .dW_h = dW_h, .db = db};
    int64_t packed = dX ? (int64_t)panels_of(inputs, PANEL) * PANEL * gate_columns(hidden) : 0;
    return run_layer(layer, gradients, threads, 0, packed, (int64_t)threads * (hidden + inputs + 1 + STRIP) * PANEL);
}
