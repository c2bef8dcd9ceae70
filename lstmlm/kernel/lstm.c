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

       registers   a tile is ROWS rows by VECS vectors of WIDTH columns, in as many accumulators: a number once loaded is
                   used VECS or ROWS times. Where the columns are gates, vectors 4k .. 4k + 3 are the four gates of the
                   units k * WIDTH and on, and as soon as a tile has summed all four, it finishes these units' cells.
       L1, L2      a panel is the part of the matrix that meets one tile, VECS vectors of each line, copied to lie in the
                   order in which they are read, and fetched ahead of its use. All rows pass over a panel before the
                   next. Products of many steps are done in chunks of CHUNK rows, just before (X W_x) or after (dX) the
                   steps themselves, while what they share is still near.
       threads     the layer: blocks of the batch times blocks of units. Rows do not depend on each other, so threads with
                   rows of their own never wait. Units need all of Hs_t, so threads with units of their own meet after
                   each step, but each reads only its part of W_h: better when that outgrows a core's cache.

   gates are kept as the tiles leave them, (T, panel, B, PANEL), with zeros to fill up the last units: what a tile or a
   strip takes lies together. Backward puts dG in their place.
   Every sum runs in one order, whatever the blocks: a result depends neither on the threads nor on the rest of the batch. */

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vectors.h"

#if defined(__AVX512F__) || defined(__aarch64__)
#define VECS 4 /* 32 registers */
#else
#define VECS 2 /* 16 registers */
#endif
#define ROWS 6

enum {
    PANEL = VECS * WIDTH, /* floats in a line of a panel */
    STRIP = 6144 / PANEL, /* lines of a panel of 24 KB */
    CHUNK = 16 * ROWS,    /* rows that stay in L2 while all panels pass by */
    AHEAD = 2048          /* floats from what is read of a panel to what is fetched */
};

/* The products */

/* acc[r] += sum over k of x[r * ld + k] times line k of the panel, for `pieces` of depth lines, each `step` further on in
   x; `rows` is a constant where this is inlined */
INLINE void multiply(int rows, int pieces, int depth, const float *x, int64_t ld, int64_t step, const float *panel,
                     vec acc[][VECS]) {
    vec a[ROWS][VECS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++) a[r][j] = acc[r][j];
    for (int piece = 0; piece < pieces; piece++, x += step)
        for (int k = 0; k < depth; k++, panel += PANEL) {
            vec w[VECS];
            UNROLL for (int j = 0; j < VECS; j++) {
                w[j] = *(const vec *)(panel + j * WIDTH);
                HOLD(w[j]);
            }
            UNROLL for (int j = 0; j < PANEL; j += 16) __builtin_prefetch(panel + AHEAD + j);
            UNROLL for (int r = 0; r < rows; r++) {
                vec s = splat(x[r * ld + k]);
                UNROLL for (int j = 0; j < VECS; j++) a[r][j] += s * w[j];
            }
        }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++) acc[r][j] = a[r][j];
}

/* Rows first .. last in tiles: as few as there can be, of nearly equal height. tile(rows, row, ...) with constant rows. */
#define TILES(first, last, tile, ...)                                                        \
    for (int all = (last) - (first), tiles = (all + ROWS - 1) / ROWS, i = 0; i < tiles; i++) { \
        int row = (first) + all * i / tiles;                                                 \
        switch ((first) + all * (i + 1) / tiles - row) {                                     \
        case 1: tile(1, row, __VA_ARGS__); break;                                            \
        case 2: tile(2, row, __VA_ARGS__); break;                                            \
        case 3: tile(3, row, __VA_ARGS__); break;                                            \
        case 4: tile(4, row, __VA_ARGS__); break;                                            \
        case 5: tile(5, row, __VA_ARGS__); break;                                            \
        case 6: tile(6, row, __VA_ARGS__); break;                                            \
        }                                                                                    \
    }

INLINE int share(int of, int part, int parts) { return (int)((int64_t)of * part / parts); }

/* Gates of a row in floats, panels that they are in, and what vector v of them is: gate v % 4 of the units from here on */
int gate_columns(int hidden) { return blocks(hidden, WIDTH) * 4 * WIDTH; }
INLINE int gate_panels(int hidden) { return blocks(hidden, WIDTH) * 4 / VECS; }
INLINE int units_of(int v) { return v / 4 * WIDTH; }

/* to[c * ldt + r] = from[r * ldf + c] */
static void transpose(float *to, int64_t ldt, const float *from, int64_t ldf, int rows, int columns) {
    for (int r = 0; r < rows; r += WIDTH)
        for (int c = 0; c < columns; c += WIDTH)
            if (r + WIDTH <= rows && c + WIDTH <= columns) {
                for (int j = 0; j < WIDTH; j++)
                    for (int i = 0; i < WIDTH; i++) to[(c + j) * ldt + r + i] = from[(r + i) * ldf + c + j];
            } else {
                for (int j = c; j < min(c + WIDTH, columns); j++)
                    for (int i = r; i < min(r + WIDTH, rows); i++) to[j * ldt + i] = from[i * ldf + j];
            }
}

/* Panel p of W (K, 4H) in the order of gates */
static void pack_gates(float *panel, const float *W, int K, int H, int p) {
    for (int j = 0; j < VECS; j++) {
        int v = p * VECS + j, n = H - units_of(v);
        const float *from = W + v % 4 * H + units_of(v);
        for (int k = 0; k < K; k++) *(vec *)(panel + k * PANEL + j * WIDTH) = load(from + (int64_t)k * 4 * H, n);
    }
}

/* Panel p of the transpose of W (N, 4H): rows p * PANEL and on as columns, the lines in the order of gates */
static void pack_transposed(float *panel, const float *W, int N, int H, int p) {
    int columns = gate_columns(H), rows = min(PANEL, N - p * PANEL);
    if (rows < PANEL || H % WIDTH) memset(panel, 0, sizeof(float) * columns * PANEL);
    for (int v = 0; v < columns / WIDTH; v++)
        transpose(panel + v * WIDTH * PANEL, PANEL, W + ((int64_t)p * PANEL * 4 + v % 4) * H + units_of(v), 4 * H, rows,
                  min(WIDTH, H - units_of(v)));
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
    int steps, batch, inputs, hidden, row_blocks, arrived;
    const int64_t *ids;
    const float *X, *W_x, *W_h, *b, *dY;
    float *gates, *Hs, *Cs, *dH, *dC, *dX, *dW_x, *dW_h, *db;
    float *panels, *input_panels, *table; /* W_h and W_x packed; b, or with ids each row of W_x + b, as a row of gates */
} Layer;

/* What a thread does of a step: rows first .. last, and the part `column` of `columns` of the units */
typedef struct { int first, last, column, columns; } Part;

static Part part_of(const Layer *layer, const Thread *me) {
    int rows = min(layer->row_blocks, me->size), columns = me->size / rows;
    int row = me->rank % rows, column = me->rank / rows;
    if (column >= columns) return (Part){0, 0, 0, columns}; /* one too many for this grid */
    return (Part){share(layer->batch, row, rows), share(layer->batch, row + 1, rows), column, columns};
}

INLINE int begin(const Part *part, int units) { return share(units, part->column, part->columns); }
INLINE int end(const Part *part, int units) { return share(units, part->column + 1, part->columns); }
INLINE int steps_at_once(const Part *part) { return max(1, CHUNK / max(1, part->last - part->first)); }

/* The rows of panel p of the gates of step t */
INLINE float *gates_of(const Layer *layer, int t, int p) {
    return layer->gates + ((int64_t)t * gate_panels(layer->hidden) + p) * layer->batch * PANEL;
}

/* out (rows, VECS vectors) = start (VECS vectors, or NULL: 0) + A, in pieces as `multiply` has them, times a panel */
INLINE void product_tile(int rows, int row, int pieces, int depth, const float *A, int64_t ld, int64_t step,
                         const float *panel, const float *start, float *out, int64_t ldo, int n) {
    vec acc[ROWS][VECS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++)
        acc[r][j] = start ? *(const vec *)(start + j * WIDTH) : splat(0);
    multiply(rows, pieces, depth, A + row * ld, ld, step, panel, acc);
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++)
        store(out + (row + r) * ldo + j * WIDTH, acc[r][j], n - j * WIDTH);
}

/* Units u .. u + WIDTH of `rows` rows at step t; the panels of their gates */
INLINE void forward_tile(int rows, int row, const Layer *layer, int t, int u, const float *panels) {
    int H = layer->hidden, B = layer->batch, n = H - u, p = u * 4 / PANEL;
    int64_t at = (int64_t)t * B + row;
    float *C = layer->Cs + at * H + u;
    vec acc[4 / VECS][ROWS][VECS], cell[ROWS];
#define GATE(r, g) acc[g / VECS][r][g % VECS]
    UNROLL for (int i = 0; i < 4 / VECS; i++) UNROLL for (int r = 0; r < rows; r++) {
        const float *start = gates_of(layer, t, p + i) + (row + r) * PANEL;
        if (layer->ids) {
            UNROLL for (int j = 0; j < PANEL; j += 16) __builtin_prefetch(start + j, 1);
            start = layer->table + layer->ids[at + r] * gate_columns(H) + u * 4 + i * PANEL;
        }
        UNROLL for (int j = 0; j < VECS; j++) acc[i][r][j] = *(const vec *)(start + j * WIDTH);
    }
    UNROLL for (int r = 0; r < rows; r++) {
        __builtin_prefetch(C + (B + r) * H, 1);
        __builtin_prefetch(layer->Hs + (at + B + r) * H + u, 1);
    }
    UNROLL for (int i = 0; i < 4 / VECS; i++)
        multiply(rows, 1, H, layer->Hs + at * H, H, 0, panels + (int64_t)i * H * PANEL, acc[i]);
    UNROLL for (int r = 0; r < rows; r++) {
        vec I = sigmoid(GATE(r, 0)), F = sigmoid(GATE(r, 1)), O = sigmoid(GATE(r, 2)), C_tilda = hyperbolic(GATE(r, 3));
        cell[r] = F * load(C + r * H, n) + I * C_tilda;
        GATE(r, 0) = I, GATE(r, 1) = F, GATE(r, 2) = O, GATE(r, 3) = C_tilda;
        store(C + (B + r) * H, cell[r], n);
    }
    UNROLL for (int i = 0; i < 4 / VECS; i++) UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++)
        *(vec *)(gates_of(layer, t, p + i) + (row + r) * PANEL + j * WIDTH) = acc[i][r][j];
    UNROLL for (int r = 0; r < rows; r++)
        store(layer->Hs + (at + B + r) * H + u, GATE(r, 2) * hyperbolic(cell[r]), n);
#undef GATE
}

static void forward(void *data) {
    Layer *layer = data;
    int H = layer->hidden, D = layer->inputs, B = layer->batch, columns = gate_columns(H), panels = gate_panels(H);
    Thread me = this_thread();
    for (int p = share(panels, me.rank, me.size); p < share(panels, me.rank + 1, me.size); p++) {
        pack_gates(layer->panels + (int64_t)p * H * PANEL, layer->W_h, H, H, p);
        if (layer->X) pack_gates(layer->input_panels + (int64_t)p * D * PANEL, layer->W_x, D, H, p);
        for (int v = p * VECS; v < (p + 1) * VECS; v++)
            for (int d = 0; d < (layer->ids ? D : 1); d++) {
                int from = v % 4 * H + units_of(v), n = H - units_of(v);
                vec sum = load(layer->b + from, n);
                if (layer->ids) sum += load(layer->W_x + (int64_t)d * 4 * H + from, n);
                *(vec *)(layer->table + (int64_t)d * columns + v * WIDTH) = sum;
            }
    }
    meet(&me, &layer->arrived);
    Part mine = part_of(layer, &me);
    int first = mine.first, last = mine.last, steps = steps_at_once(&mine), units = blocks(H, WIDTH);
    for (int t = 0; t < layer->steps; t++) {
        if (layer->X && t % steps == 0)
            for (int p = begin(&mine, units) * 4 / VECS; p < end(&mine, units) * 4 / VECS; p++)
                for (int s = t; s < min(t + steps, layer->steps); s++)
                    TILES(first, last, product_tile, 1, D, layer->X + (int64_t)s * B * D, D, 0,
                          layer->input_panels + (int64_t)p * D * PANEL, layer->table + p * PANEL, gates_of(layer, s, p), PANEL,
                          PANEL)
        for (int u = begin(&mine, units) * WIDTH; u < end(&mine, units) * WIDTH; u += WIDTH)
            TILES(first, last, forward_tile, layer, t, u, layer->panels + (int64_t)u * 4 * H)
        if (mine.columns > 1) meet(&me, &layer->arrived);
    }
}

/* The gates of units u .. u + PANEL of `rows` rows at step t become dG; t = -1 is the state before the first step */
INLINE void backward_tile(int rows, int row, const Layer *layer, int t, int u, const float *panel) {
    int H = layer->hidden, B = layer->batch, panels = gate_panels(H), last = t == layer->steps - 1;
    int64_t at = (int64_t)t * B + row;
    float *dH = layer->dH + (int64_t)row * H + u, *dC = layer->dC + (int64_t)row * H + u;
    const float *dY = layer->dY + at * H + u, *C = layer->Cs + at * H + u;
    vec acc[ROWS][VECS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++) {
        int here = r * H + j * WIDTH, n = H - u - j * WIDTH;
        acc[r][j] = last ? load(dH + here, n) : splat(0);
        if (t >= 0) acc[r][j] += load(dY + here, n);
    }
    if (!last)
        for (int i = 0; i < 4; i++) {
            int q = share(panels, i, 4);
            const float *own = t < 0 ? layer->gates : gates_of(layer, t, u * 4 / PANEL + i) + row * PANEL;
            UNROLL for (int j = 0; j < rows * PANEL; j += 16) __builtin_prefetch(own + j, 1);
            UNROLL for (int r = 0; r < rows; r++) {
                __builtin_prefetch(dY + r * H + i * WIDTH);
                __builtin_prefetch(C + r * H + i * WIDTH);
            }
            multiply(rows, share(panels, i + 1, 4) - q, PANEL, gates_of(layer, t + 1, q) + row * PANEL, PANEL,
                     (int64_t)B * PANEL, panel + (int64_t)q * PANEL * PANEL, acc);
        }
    if (t < 0) {
        UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++)
            store(dH + r * H + j * WIDTH, acc[r][j], H - u - j * WIDTH);
        return;
    }
    UNROLL for (int j = 0; j < VECS; j++) UNROLL for (int r = 0; r < rows; r++) {
        int here = r * H + j * WIDTH, n = H - u - j * WIDTH;
        if (n <= 0) break;
        vec *at_gate[4];
        UNROLL for (int g = 0; g < 4; g++) {
            int v = (u / WIDTH + j) * 4 + g;
            at_gate[g] = (vec *)(gates_of(layer, t, v / VECS) + (row + r) * PANEL + v % VECS * WIDTH);
        }
        vec I = *at_gate[0], F = *at_gate[1], O = *at_gate[2], C_tilda = *at_gate[3];
        vec shown = hyperbolic(load(C + (int64_t)B * H + here, n));
        vec cell = load(dC + here, n) + acc[r][j] * O * (1 - shown * shown);
        *at_gate[0] = cell * C_tilda * I * (1 - I);
        *at_gate[1] = cell * load(C + here, n) * F * (1 - F);
        *at_gate[2] = acc[r][j] * shown * O * (1 - O);
        *at_gate[3] = cell * I * (1 - C_tilda * C_tilda);
        store(dC + here, cell * F, n);
    }
}

static void backward(void *data) {
    Layer *layer = data;
    int H = layer->hidden, B = layer->batch, D = layer->inputs, columns = gate_columns(H), panels = gate_panels(H);
    int units = blocks(H, PANEL), inputs = layer->dX ? blocks(D, PANEL) : 0;
    Thread me = this_thread();
    for (int p = share(units, me.rank, me.size); p < share(units, me.rank + 1, me.size); p++)
        pack_transposed(layer->panels + (int64_t)p * columns * PANEL, layer->W_h, H, H, p);
    for (int p = share(inputs, me.rank, me.size); p < share(inputs, me.rank + 1, me.size); p++)
        pack_transposed(layer->input_panels + (int64_t)p * columns * PANEL, layer->W_x, D, H, p);
    meet(&me, &layer->arrived);
    Part mine = part_of(layer, &me);
    int first = mine.first, last = mine.last, steps = steps_at_once(&mine);
    for (int t = layer->steps - 1; t >= -1; t--) { /* the last for dH alone */
        for (int p = begin(&mine, units); p < end(&mine, units); p++)
            TILES(first, last, backward_tile, layer, t, p * PANEL, layer->panels + (int64_t)p * columns * PANEL)
        if (mine.columns > 1) meet(&me, &layer->arrived);
        if (t >= 0 && t % steps == 0)
            for (int p = begin(&mine, inputs); p < end(&mine, inputs); p++)
                for (int s = t; s < min(t + steps, layer->steps); s++)
                    TILES(first, last, product_tile, panels, PANEL, gates_of(layer, s, 0), PANEL, (int64_t)B * PANEL,
                          layer->input_panels + (int64_t)p * columns * PANEL, NULL, layer->dX + (int64_t)s * B * D + p * PANEL,
                          D, D - p * PANEL)
    }
}

/* sums (rows, VECS vectors) += A (rows, K) times a panel */
INLINE void gradient_tile(int rows, int row, const float *A, int K, const float *panel, float *sums) {
    vec acc[ROWS][VECS], *to = (vec *)(sums + (int64_t)row * PANEL);
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++) acc[r][j] = to[r * VECS + j];
    multiply(rows, 1, K, A + (int64_t)row * STRIP, STRIP, 0, panel, acc);
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++) to[r * VECS + j] = acc[r][j];
}

/* The inverse of pack_gates */
static void unpack_gates(float *W, const float *panel, int K, int H, int p) {
    for (int j = 0; j < VECS; j++) {
        int v = p * VECS + j, n = H - units_of(v);
        float *to = W + v % 4 * H + units_of(v);
        for (int k = 0; k < K; k++) store(to + (int64_t)k * 4 * H, *(const vec *)(panel + k * PANEL + j * WIDTH), n);
    }
}

/* dW_h, dW_x and db, in strips of steps, panel after panel, with Hs and X transposed */
static void gradients(void *data) {
    Layer *layer = data;
    int H = layer->hidden, D = layer->inputs, B = layer->batch, panels = gate_panels(H);
    int all = layer->steps * B, strips = blocks(all, STRIP), rows = H + (layer->X ? D : 0);
    Thread me = this_thread();
    int begin = share(panels, me.rank, me.size), end = share(panels, me.rank + 1, me.size);
    int64_t size = (int64_t)(H + D + 1) * PANEL; /* of the sums of a panel: H rows of W_h, D rows of W_x, b */
    for (int s = share(strips, me.rank, me.size); s < share(strips, me.rank + 1, me.size); s++) {
        float *to = layer->panels + (int64_t)s * rows * STRIP;
        int depth = min(STRIP, all - s * STRIP);
        transpose(to, STRIP, layer->Hs + (int64_t)s * STRIP * H, H, depth, H);
        if (layer->X) transpose(to + (int64_t)H * STRIP, STRIP, layer->X + (int64_t)s * STRIP * D, D, depth, D);
    }
    memset(layer->table + begin * size, 0, sizeof(float) * (end - begin) * size);
    meet(&me, &layer->arrived);
    for (int s = 0; s < strips; s++) {
        const float *turned = layer->panels + (int64_t)s * rows * STRIP;
        const int64_t *ids = layer->ids ? layer->ids + s * STRIP : NULL;
        int depth = min(STRIP, all - s * STRIP);
        for (int p = begin; p < end; p++) {
            float *sums = layer->table + p * size, *sums_x = sums + (int64_t)H * PANEL;
            float strip[STRIP * PANEL] __attribute__((aligned(64)));
            vec *b = (vec *)(sums_x + (int64_t)D * PANEL);
            for (int k = 0; k < depth; k++) {
                int t = (s * STRIP + k) / B, r = (s * STRIP + k) % B;
                const vec *from = (const vec *)(gates_of(layer, t, p) + r * PANEL);
                vec *row = ids ? (vec *)(sums_x + ids[k] * PANEL) : NULL;
                UNROLL for (int j = 0; j < VECS; j++) {
                    vec dG = from[j];
                    *(vec *)(strip + k * PANEL + j * WIDTH) = dG;
                    b[j] += dG;
                    if (row) row[j] += dG;
                }
            }
            TILES(0, H, gradient_tile, turned, depth, strip, sums)
            if (layer->X) TILES(0, D, gradient_tile, turned + (int64_t)H * STRIP, depth, strip, sums_x)
        }
    }
    for (int p = begin; p < end; p++) {
        const float *sums = layer->table + p * size;
        unpack_gates(layer->dW_h, sums, H, H, p);
        unpack_gates(layer->dW_x, sums + (int64_t)H * PANEL, D, H, p);
        unpack_gates(layer->db, sums + (int64_t)(H + D) * PANEL, 1, H, p);
    }
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

/* The gates become dG. dH and dC come in as the gradients of the last state and go out as those of the first; dX may be
   NULL: not wanted */
int layer_backward(int steps, int batch, int inputs, int hidden, const float *W_x, const float *W_h, float *gates, float *Cs,
                   const float *dY, float *dH, float *dC, float *dX, int row_blocks, int threads) {
    Layer layer = {.steps = steps, .batch = batch, .inputs = inputs, .hidden = hidden, .W_x = W_x, .W_h = W_h, .gates = gates,
                   .Cs = Cs, .dY = dY, .dH = dH, .dC = dC, .dX = dX, .row_blocks = row_blocks};
    int64_t panel = (int64_t)PANEL * gate_columns(hidden);
    return run_layer(layer, backward, threads, blocks(hidden, PANEL) * panel, dX ? blocks(inputs, PANEL) * panel : 0, 0);
}

/* From dG */
int layer_gradients(int steps, int batch, int inputs, int hidden, const float *X, const int64_t *ids, float *Hs, float *dG,
                    float *dW_x, float *dW_h, float *db, int threads) {
    Layer layer = {.steps = steps, .batch = batch, .inputs = inputs, .hidden = hidden, .X = X, .ids = ids, .Hs = Hs,
                   .gates = dG, .dW_x = dW_x, .dW_h = dW_h, .db = db};
    int64_t turned = (int64_t)blocks(steps * batch, STRIP) * STRIP * (hidden + (X ? inputs : 0));
    return run_layer(layer, gradients, threads, turned, 0, (int64_t)(hidden + inputs + 1) * gate_columns(hidden));
}
