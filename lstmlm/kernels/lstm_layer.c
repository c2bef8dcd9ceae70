/* One LSTM layer over a whole sequence, and its gradient, in float32: the computations of lstmlm/layers/fused.py in C.

   T = num_steps, B = batch_size, H = num_hiddens, D = width of the inputs. Arrays are dense and row-major.

       X (T, B, D), or ids (T, B)    W_x (D, 4H)   W_h (H, 4H)   b (4H)    the four gates side by side: I, F, O, C~
       Hs, Cs (T+1, B, H)            states; [0] is the state before the first step

   The rows of a batch may end at different steps. They are then sorted, the longest first, and arrays have of each step only
   the rows that are left, one step after the other: N rows of X, dX and dY, B + N of Hs and Cs.

   Forward, for t = 0 .. T-1:

       [I, F, O, C~] = sigmoid, sigmoid, sigmoid, tanh of (X_t W_x + b + Hs_t W_h)
       Cs_t+1 = F * Cs_t + I * C~            Hs_t+1 = O * tanh(Cs_t+1)

   Backward, for t = T-1 .. 0; dG is the gradient of the sums in the brackets, dH and dC come from step t+1:

       dH   = dY_t + dG_t+1 W_h^T            dC = dC_t+1 * F_t+1 + dH * O * (1 - tanh(Cs_t+1)^2)
       dG_t = [dC * C~ * I(1 - I),  dC * Cs_t * F(1 - F),  dH * tanh(Cs_t+1) * O(1 - O),  dC * I * (1 - C~^2)]

   and then dX = dG W_x^T, dW_x = X^T dG, dW_h = Hs^T dG, db = sum of dG, over all steps at once.

   Nearly all time is spent in products of rows with a matrix, and `multiply` computes all of them. Its blocking, from the
   innermost level outwards:

       registers   a tile is up to ROWS rows by VECS vectors of WIDTH columns, in as many accumulators: a loaded number is
                   used VECS or ROWS times. Where the columns are gates, vectors 4k .. 4k + 3 are the four gates of the
                   units from k * WIDTH on: a tile that has summed all four computes the cells of these units too.
       L1, L2      a panel is the part of the matrix for one tile, VECS vectors of each line, copied into the order in
                   which they are read. All rows use H lines of a panel before the next H lines; meanwhile those next lines
                   are prefetched, a few at a time: L3 delivers 10 bytes in a cycle and a tile reads 20, so a core never
                   waits if it has 12 rows or more. (A matrix that fits into L2 is not prefetched.) Every second step takes
                   the panels in reverse order, to use first the part of the matrix that is still in L2. Products over many
                   steps are done in chunks of CHUNK rows, directly before (X W_x) or after (dX) the steps themselves,
                   while the data that they share is in the cache.
       threads     the layer is split into blocks of the batch times blocks of units. Rows do not depend on each other, so
                   threads with different rows never wait. Units depend on all of Hs_t, so threads with different units
                   synchronize after each step, but each reads only its part of W_h: faster if W_h is larger than a core's
                   cache.

   gates are stored as the tiles produce them, (panel, T*B or N, PANEL), padded with zeros after the last unit: the numbers
   that a tile or a strip reads are contiguous. Backward writes dG over them.
   Every sum has a fixed order, whatever the blocks: a result depends neither on the threads nor on the rest of the batch,
   and on x86 it is the same, bit for bit, on every processor that has FMA. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "team.h"
#include "vectors.h"

#if defined(__AVX512F__) || defined(__aarch64__)
#define VECS 4 /* 32 registers */
#else
#define VECS 2 /* 16 registers */
#endif
#define ROWS 6

enum {
    PANEL = VECS * WIDTH, /* floats in a line of a panel */
    STRIP = 512,          /* lines of a panel that are summed into the gradients of the weights in one pass */
    QUARTERS = 4,         /* parts of a panel of W_h^T, which is 4 times as long as one of W_h */
    CHUNK = 16 * ROWS,    /* rows that stay in L2 while all panels are read */
    NEAR = 32,            /* rows that stay in L1 while they are packed */
    LINE = 16,            /* floats in a line of the cache */
    HALF_L2 = 1 << 18     /* floats that fit into half of a core's L2; the other half is for everything else */
};

/* Products */

/* The rows of a tile: number k of row r is at[r * row + k * line]; the next `depth` numbers begin `piece` floats later */
typedef struct {
    const float *at;
    int64_t row, line, piece;
    int pieces, depth;
} Rows;

/* The prefetches of a tile with each line of its panel: `pace` floats of the lines that are read next, and `own_pace`
   floats of the place that the tile writes to */
typedef struct {
    const float *next;
    int64_t pace;
    const float *own;
    int64_t own_pace;
} Ahead;

/* sums[r] += sum over k of number k of row r times line k of the panel; `rows` is a constant where this is inlined */
INLINE void multiply_rows(int rows, const Rows *x, const float *panel, const Ahead *ahead, vec sums[][VECS]) {
    vec acc[ROWS][VECS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++) acc[r][j] = sums[r][j];
    int64_t row = x->row, line = x->line;
    const float *next = ahead->next, *own = ahead->own;
    int64_t pace = ahead->pace, own_pace = ahead->own_pace;
    for (int piece = 0; piece < x->pieces; piece++) {
        const float *at = x->at + piece * x->piece;
        if (piece < x->pieces - 1) /* the next piece may be in another core's cache */
            for (int r = 0; r < rows; r++)
                for (int k = 0; k < x->depth; k += LINE) __builtin_prefetch(at + x->piece + r * row + k);
        for (int k = 0; k < x->depth; k++, at += line, panel += PANEL, next += pace, own += own_pace) {
            vec w[VECS];
            UNROLL for (int j = 0; j < VECS; j++) {
                w[j] = *(const vec *)(panel + j * WIDTH);
                HOLD(w[j]);
            }
            __builtin_prefetch(next);
            __builtin_prefetch(next + LINE);
            __builtin_prefetch(own, 1);
            UNROLL for (int r = 0; r < rows; r++) {
                vec number = splat(at[r * row]);
                UNROLL for (int j = 0; j < VECS; j++) acc[r][j] = add_product(acc[r][j], number, w[j]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < VECS; j++) sums[r][j] = acc[r][j];
}

/* multiply[rows](x, panel, ahead, sums) */
#define MULTIPLY(rows)                                                                                                   \
    static NOINLINE void multiply_##rows(const Rows *x, const float *panel, const Ahead *ahead, vec sums[][VECS]) {      \
        multiply_rows(rows, x, panel, ahead, sums);                                                                      \
    }
MULTIPLY(1) MULTIPLY(2) MULTIPLY(3) MULTIPLY(4) MULTIPLY(5) MULTIPLY(6)
static void (*const multiply[ROWS + 1])(const Rows *, const float *, const Ahead *, vec[][VECS]) = {
    NULL, multiply_1, multiply_2, multiply_3, multiply_4, multiply_5, multiply_6};

/* Rows row .. row + rows of those up to `last`. Of the `all` rows that use the same lines of a panel, `before` come before
   these. */
typedef struct { int row, rows, last, before, all; } Tile;

/* The rows up to `last` as the smallest number of tiles, of nearly equal height: each begins where the previous one ends;
   the one after the last has no rows */
INLINE Tile tile_from(int row, int last, int before, int all) {
    int left = last - row;
    return (Tile){row, left > 0 ? blocks(left, blocks(left, ROWS)) : 0, last, before, all};
}
INLINE Tile after(Tile tile) { return tile_from(tile.row + tile.rows, tile.last, tile.before + tile.rows, tile.all); }

/* The prefetches of a tile that reads `lines` lines: its share of as many lines that come next (NULL: they are in the
   cache), and its own rows, lines of PANEL floats */
INLINE Ahead fetch(Tile tile, int lines, const float *next, const float *own) {
    int from = PANEL * tile.before / tile.all, to = PANEL * (tile.before + tile.rows) / tile.all;
    int own_pace = blocks(tile.rows * PANEL, max(1, lines));
    return next ? (Ahead){next + (int64_t)lines * from, to - from, own, own_pace} : (Ahead){own, 0, own, own_pace};
}

/* The number of floats of a row's gates, the number of their panels, and the first unit of vector v, which is gate v % 4 */
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

/* Panels begin .. end of W (K, 4H) in the order of gates */
static void pack_gates(float *panels, const float *W, int K, int H, int begin, int end) {
    for (int k = 0; k < K; k++)
        for (int p = begin; p < end; p++)
            for (int j = 0; j < VECS; j++) {
                int v = p * VECS + j, u = units_of(v);
                vec *to = (vec *)(panels + ((int64_t)p * K + k) * PANEL);
                const float *from = W + ((int64_t)k * 4 + v % 4) * H + u;
                to[j] = load(from, H - u);
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

static float *floats(int64_t count) { return aligned_alloc(64, (size_t)(count * sizeof(float) + 63) / 64 * 64); }

/* The layer through time */

typedef struct {
    int steps, batch, inputs, hidden, row_blocks, arrived;
    int until; /* the last step of the backward loop; -1: the state before the first step */
    const int *left; /* the rows at each step; NULL: B */
    int64_t *starts; /* (T+1) where the rows of each step begin among those of all steps; the last is their number */
    const int64_t *before; /* for the gradients of the weights: which row of Hs is before each row; NULL: the same one */
    int far;   /* are the packed weights larger than half of an L2? */
    const int64_t *ids;
    const float *X, *W_x, *W_h, *b, *dY;
    float *gates, *Hs, *Cs, *dH, *dC, *dX, *dW_x, *dW_h, *db;
    float *panels, *input_panels, *table; /* W_h and W_x packed; b, or with ids each row of W_x + b, in panels of gates */
} Layer;

/* The part of a step that one thread computes: rows first .. last, and part `column` of `columns` of the units */
typedef struct { int first, last, column, columns; } Part;

static Part part_of(const Layer *layer, const Thread *me) {
    int rows = min(layer->row_blocks, me->size), columns = me->size / rows;
    int row = me->rank % rows, column = me->rank / rows;
    if (column >= columns) return (Part){0, 0, 0, columns}; /* the grid has no part for this thread */
    return (Part){share(layer->batch, row, rows), share(layer->batch, row + 1, rows), column, columns};
}

INLINE int begin(const Part *part, int units) { return share(units, part->column, part->columns); }
INLINE int end(const Part *part, int units) { return share(units, part->column + 1, part->columns); }
INLINE int steps_at_once(const Part *part) { return max(1, CHUNK / max(1, part->last - part->first)); }

/* The number of rows at step t: all before the first step, none after the last one */
INLINE int rows_at(const Layer *layer, int t) {
    if (t >= layer->steps) return 0;
    return layer->left && t >= 0 ? layer->left[t] : layer->batch;
}

/* Where the states before step t begin, in rows */
INLINE int64_t states_before(const Layer *layer, int t) { return t > 0 ? layer->batch + layer->starts[t - 1] : 0; }

/* The first tile of those of a part's rows that are among first .. last, in pass `pass` of `passes` over the same lines of
   a panel */
INLINE Tile tiles(const Part *part, int first, int last, int pass, int passes) {
    int rows = part->last - part->first;
    return tile_from(max(first, part->first), min(last, part->last), pass * rows, passes * rows);
}

/* Index i of begin .. end, in reverse order at every second step */
INLINE int turned(int i, int begin, int end, int t) { return t & 1 ? begin + end - 1 - i : i; }

/* Panel p of the gates of step t */
INLINE float *gates_of(const Layer *layer, int t, int p) {
    return layer->gates + (p * layer->starts[layer->steps] + layer->starts[t]) * PANEL;
}
INLINE int64_t to_next_panel(const Layer *layer) { return gates_of(layer, 0, 1) - layer->gates; }

/* out = start + x times a panel; out has rows of ldo floats, of which n are written; start has VECS vectors, NULL: zeros */
static void product_tile(Tile tile, const Rows *x, const float *panel, const float *start, float *out, int64_t ldo, int n) {
    vec sums[ROWS][VECS];
    for (int r = 0; r < tile.rows; r++)
        UNROLL for (int j = 0; j < VECS; j++) sums[r][j] = start ? *(const vec *)(start + j * WIDTH) : splat(0);
    int lines = x->pieces * x->depth;
    Ahead ahead = fetch(tile, lines, panel + (int64_t)lines * PANEL, out + tile.row * ldo);
    multiply[tile.rows](x, panel, &ahead, sums);
    for (int r = 0; r < tile.rows; r++)
        UNROLL for (int j = 0; j < VECS; j++) store(out + (tile.row + r) * ldo + j * WIDTH, sums[r][j], n - j * WIDTH);
}

/* Units u .. u + WIDTH at step t: `panels` are those of their gates, `next` those to prefetch */
static void forward_tile(Tile tile, const Layer *layer, int t, int u, const float *panels, const float *next) {
    int H = layer->hidden, n = H - u, p = u * 4 / PANEL;
    int64_t at = layer->starts[t] + tile.row, before = states_before(layer, t) + tile.row;
    int64_t step = (states_before(layer, t + 1) + tile.row - before) * H; /* from a state to the next one */
    float *C = layer->Cs + before * H + u, *Y = layer->Hs + before * H + u + step;
    Rows x = {layer->Hs + before * H, H, 1, 0, 1, H};
    vec sums[4 / VECS][ROWS][VECS];
    for (int i = 0; i < 4 / VECS; i++) {
        const float *own = gates_of(layer, t, p + i) + tile.row * PANEL;
        for (int r = 0; r < tile.rows; r++) {
            const float *start = own + r * PANEL;
            if (layer->ids) start = layer->table + ((p + i) * layer->inputs + layer->ids[at + r]) * PANEL;
            UNROLL for (int j = 0; j < VECS; j++) sums[i][r][j] = *(const vec *)(start + j * WIDTH);
            __builtin_prefetch(C + r * H + step, 1);
            __builtin_prefetch(Y + r * H, 1);
        }
        Ahead ahead = fetch(tile, H, next ? next + (int64_t)i * H * PANEL : NULL, own);
        multiply[tile.rows](&x, panels + (int64_t)i * H * PANEL, &ahead, sums[i]);
    }
    vec O[ROWS], cells[ROWS] = {0};
    for (int r = 0; r < tile.rows; r++) {
        vec gates[4];
        UNROLL for (int g = 0; g < 4; g++) gates[g] = sums[g / VECS][r][g % VECS];
        activate(3, 4, gates);
        UNROLL for (int g = 0; g < 4; g++)
            *(vec *)(gates_of(layer, t, p + g / VECS) + (tile.row + r) * PANEL + g % VECS * WIDTH) = gates[g];
        cells[r] = gates[1] * load(C + r * H, n) + gates[0] * gates[3];
        store(C + r * H + step, cells[r], n);
        O[r] = gates[2];
    }
    activate(0, ROWS, cells);
    for (int r = 0; r < tile.rows; r++) store(Y + r * H, O[r] * cells[r], n);
}

static void forward(void *data) {
    Layer *layer = data;
    int H = layer->hidden, D = layer->inputs, panels = gate_panels(H);
    Thread me = this_thread();
    int own = share(panels, me.rank, me.size), own_end = share(panels, me.rank + 1, me.size); /* panels to pack */
    pack_gates(layer->panels, layer->W_h, H, H, own, own_end);
    if (layer->X) pack_gates(layer->input_panels, layer->W_x, D, H, own, own_end);
    for (int d = 0, lines = layer->ids ? D : 1; d < lines; d++)
        for (int v = own * VECS; v < own_end * VECS; v++) {
            int from = v % 4 * H + units_of(v), n = H - units_of(v);
            vec sum = load(layer->b + from, n);
            if (layer->ids) sum += load(layer->W_x + (int64_t)d * 4 * H + from, n);
            *(vec *)(layer->table + ((int64_t)v / VECS * lines + d) * PANEL + v % VECS * WIDTH) = sum;
        }
    meet(&me, &layer->arrived);
    Part mine = part_of(layer, &me);
    int steps = steps_at_once(&mine), units = blocks(H, WIDTH), first = begin(&mine, units), last = end(&mine, units);
    int64_t unit_panels = (int64_t)H * 4 * WIDTH;
    for (int t = 0; t < layer->steps; t++) {
        if (layer->X && t % steps == 0)
            for (int p = first * 4 / VECS; p < last * 4 / VECS; p++) {
                const float *panel = layer->input_panels + (int64_t)p * D * PANEL;
                for (int s = t; s < min(t + steps, layer->steps); s++)
                    for (Tile tile = tiles(&mine, 0, rows_at(layer, s), s - t, steps); tile.rows; tile = after(tile)) {
                        Rows x = {layer->X + (layer->starts[s] + tile.row) * D, D, 1, 0, 1, D};
                        product_tile(tile, &x, panel, layer->table + p * PANEL, gates_of(layer, s, p), PANEL, PANEL);
                    }
            }
        for (int u = first; u < last; u++) {
            int unit = turned(u, first, last, t), next = turned(min(u + 1, last - 1), first, last, t);
            for (Tile tile = tiles(&mine, 0, rows_at(layer, t), 0, 1); tile.rows; tile = after(tile))
                forward_tile(tile, layer, t, unit * WIDTH, layer->panels + unit * unit_panels,
                             layer->far ? layer->panels + next * unit_panels : NULL);
        }
        if (mine.columns > 1) meet(&me, &layer->arrived);
    }
}

/* Part q of QUARTERS of the sum for dH of units u .. u + PANEL at step t; the last part then replaces the gates of these
   units by dG. t = -1 is the state before the first step. The rows of the tile go on at step t + 1, or they end at t: then
   there is nothing to sum. */
static void backward_tile(Tile tile, const Layer *layer, int t, int u, int q, int ends, const float *panel,
                          const float *next) {
    int H = layer->hidden, panels = gate_panels(H), now = max(t, 0), first_part = ends ? q == QUARTERS - 1 : !q;
    int64_t at = layer->starts[now] + tile.row, before = states_before(layer, now) + tile.row;
    int64_t step = (states_before(layer, now + 1) + tile.row - before) * H; /* from a state to the next one */
    int64_t previous = (at - tile.row - layer->starts[max(now - 1, 0)]) * H; /* from a row back to step t - 1 */
    float *dH = layer->dH + (int64_t)tile.row * H + u, *dC = layer->dC + (int64_t)tile.row * H + u;
    const float *dY = layer->dY + at * H + u, *C = layer->Cs + before * H + u;
    vec sums[ROWS][VECS];
    for (int r = 0; r < tile.rows; r++)
        UNROLL for (int j = 0; j < VECS; j++) {
            int here = r * H + j * WIDTH, n = H - u - j * WIDTH;
            sums[r][j] = q || ends ? load(dH + here, n) : splat(0);
            if (first_part && t >= 0) sums[r][j] += load(dY + here, n);
        }
    if (!ends) {
        int from = share(panels, q, QUARTERS), count = share(panels, q + 1, QUARTERS) - from;
        const float *own = gates_of(layer, now, u * 4 / PANEL + q) + tile.row * PANEL; /* written after the last quarter */
        for (int r = 0; r < tile.rows; r++) {
            __builtin_prefetch(C + r * H + q * PANEL / QUARTERS);
            __builtin_prefetch(dY - previous + r * H + q * PANEL / QUARTERS); /* for step t - 1 */
        }
        Rows x = {gates_of(layer, t + 1, from) + tile.row * PANEL, PANEL, 1, to_next_panel(layer), count, PANEL};
        Ahead ahead = fetch(tile, count * PANEL, next, own);
        multiply[tile.rows](&x, panel + (int64_t)from * PANEL * PANEL, &ahead, sums);
    }
    if (t < 0 || q < QUARTERS - 1) {
        for (int r = 0; r < tile.rows; r++)
            UNROLL for (int j = 0; j < VECS; j++) store(dH + r * H + j * WIDTH, sums[r][j], H - u - j * WIDTH);
        return;
    }
    for (int r = 0; r < tile.rows; r++) {
        vec shown[VECS];
        UNROLL for (int j = 0; j < VECS; j++) shown[j] = load(C + step + r * H + j * WIDTH, H - u - j * WIDTH);
        activate(0, VECS, shown);
        UNROLL for (int j = 0; j < VECS; j++) {
            int here = r * H + j * WIDTH, n = H - u - j * WIDTH;
            if (n <= 0) break;
            vec *at_gate[4];
            UNROLL for (int g = 0; g < 4; g++) {
                int v = (u / WIDTH + j) * 4 + g;
                at_gate[g] = (vec *)(gates_of(layer, t, v / VECS) + (tile.row + r) * PANEL + v % VECS * WIDTH);
            }
            vec I = *at_gate[0], F = *at_gate[1], O = *at_gate[2], C_tilda = *at_gate[3];
            vec cell = load(dC + here, n) + sums[r][j] * O * (1 - shown[j] * shown[j]);
            *at_gate[0] = cell * C_tilda * I * (1 - I);
            *at_gate[1] = cell * load(C + here, n) * F * (1 - F);
            *at_gate[2] = sums[r][j] * shown[j] * O * (1 - O);
            *at_gate[3] = cell * I * (1 - C_tilda * C_tilda);
            store(dC + here, cell * F, n);
        }
    }
}

static void backward(void *data) {
    Layer *layer = data;
    int H = layer->hidden, D = layer->inputs, columns = gate_columns(H), panels = gate_panels(H);
    int units = blocks(H, PANEL), inputs = layer->dX ? blocks(D, PANEL) : 0;
    int64_t size = (int64_t)columns * PANEL; /* of a panel */
    Thread me = this_thread();
    for (int p = share(units, me.rank, me.size); p < share(units, me.rank + 1, me.size); p++)
        pack_transposed(layer->panels + p * size, layer->W_h, H, H, p);
    for (int p = share(inputs, me.rank, me.size); p < share(inputs, me.rank + 1, me.size); p++)
        pack_transposed(layer->input_panels + p * size, layer->W_x, D, H, p);
    meet(&me, &layer->arrived);
    Part mine = part_of(layer, &me);
    int steps = steps_at_once(&mine), first = begin(&mine, units), last = end(&mine, units);
    for (int t = layer->steps - 1; t >= layer->until; t--) {
        for (int u = first; u < last; u++) {
            int p = turned(u, first, last, t), then = turned(min(u + 1, last - 1), first, last, t);
            const float *panel = layer->panels + p * size, *after_panel = layer->panels + then * size;
            for (int q = 0; q < QUARTERS; q++) {
                int64_t quarter = (int64_t)share(panels, q + 1, QUARTERS) * PANEL * PANEL;
                const float *next = q < QUARTERS - 1 ? panel + quarter : after_panel;
                int going = rows_at(layer, t + 1), all = rows_at(layer, t);
                for (Tile tile = tiles(&mine, 0, going, 0, 1); tile.rows; tile = after(tile))
                    backward_tile(tile, layer, t, p * PANEL, q, 0, panel, layer->far ? next : NULL);
                if (q < QUARTERS - 1) continue;
                for (Tile tile = tiles(&mine, going, all, 0, 1); tile.rows; tile = after(tile))
                    backward_tile(tile, layer, t, p * PANEL, q, 1, panel, NULL);
            }
        }
        if (mine.columns > 1) meet(&me, &layer->arrived);
        if (t >= 0 && t % steps == 0)
            for (int p = begin(&mine, inputs); p < end(&mine, inputs); p++) {
                const float *panel = layer->input_panels + p * size;
                for (int s = t; s < min(t + steps, layer->steps); s++)
                    for (Tile tile = tiles(&mine, 0, rows_at(layer, s), s - t, steps); tile.rows; tile = after(tile)) {
                        Rows x = {gates_of(layer, s, 0) + tile.row * PANEL, PANEL, 1, to_next_panel(layer), panels, PANEL};
                        product_tile(tile, &x, panel, NULL, layer->dX + layer->starts[s] * D + p * PANEL, D, D - p * PANEL);
                    }
            }
    }
}

/* `depth` rows of A (_, n), from the first one on or, if it is given, those in `rows`, rearranged for tiles of the columns of
   A, each (depth, rows of the tile), with STRIP floats for a column */
static void pack_columns(float *to, const float *A, const int64_t *rows, int n, int depth) {
    for (int begin = 0; begin < depth; begin += NEAR)
        for (Tile tile = tile_from(0, n, 0, n); tile.rows; tile = after(tile)) {
            const float *from = A + tile.row;
            float *at = to + (int64_t)tile.row * STRIP;
            for (int k = begin; k < min(begin + NEAR, depth); k++) {
                /* A constant count is faster; the surplus is overwritten by the next row */
                int count = (depth - k) * tile.rows >= ROWS ? ROWS : tile.rows;
                memcpy(at + k * tile.rows, from + (rows ? rows[k] : k) * n, count * sizeof(float));
            }
        }
}

/* The inverse of pack_gates for panel p */
static void unpack_gates(float *W, const float *panel, int K, int H, int p) {
    for (int k = 0; k < K; k++)
        for (int j = 0; j < VECS; j++) {
            int v = p * VECS + j, u = units_of(v);
            store(W + ((int64_t)k * 4 + v % 4) * H + u, *(const vec *)(panel + k * PANEL + j * WIDTH), H - u);
        }
}

/* A strip: `depth` lines of panel p of dG, the lines that are read next, and whether it is the first or the last of the sum
   over all steps */
typedef struct { const float *lines, *next; int depth, p, first, last; } Strip;

/* The rows of W, whose columns are gates, = the sum over the strips of packed columns of A, transposed, times the strip;
   `kept` has the sums between strips */
static void gradient_tile(Tile tile, const Strip *strip, const float *columns, float *W, int H, float *kept) {
    vec sums[ROWS][VECS], *between = (vec *)(kept + (int64_t)tile.row * PANEL);
    for (int r = 0; r < tile.rows; r++)
        UNROLL for (int j = 0; j < VECS; j++) sums[r][j] = strip->first ? splat(0) : between[r * VECS + j];
    Rows x = {columns + (int64_t)tile.row * STRIP, 1, tile.rows, 0, 1, strip->depth};
    Ahead ahead = fetch(tile, strip->depth, strip->next, (float *)(between + ROWS * VECS));
    multiply[tile.rows](&x, strip->lines, &ahead, sums);
    for (int r = 0; r < tile.rows; r++)
        if (strip->last)
            unpack_gates(W + (int64_t)(tile.row + r) * 4 * H, (float *)sums[r], 1, H, strip->p);
        else
            memcpy(between + r * VECS, sums[r], sizeof sums[r]);
}

/* b += every line of a strip; with ids, rows[ids[k]] += line k */
static void add_lines(const Strip *strip, const int64_t *ids, float *rows, float *b) {
    vec *sum = (vec *)b;
    for (int k = 0; k < strip->depth; k++) {
        const vec *line = (const vec *)(strip->lines + k * PANEL);
        UNROLL for (int j = 0; j < VECS; j++) {
            sum[j] += line[j];
            if (ids) ((vec *)(rows + ids[k] * PANEL))[j] += line[j];
        }
    }
}

/* dW_h, dW_x and db, strip by strip of the steps and, within a strip, panel by panel */
static void gradients(void *data) {
    Layer *layer = data;
    int H = layer->hidden, D = layer->inputs, all = layer->steps * layer->batch, strips = blocks(all, STRIP);
    int of_X = layer->X ? D : 0, rows = H + of_X, panels = gate_panels(H);
    Thread me = this_thread();
    for (int s = share(strips, me.rank, me.size); s < share(strips, me.rank + 1, me.size); s++) {
        float *to = layer->panels + (int64_t)s * rows * STRIP;
        int64_t begin = (int64_t)s * STRIP;
        const float *Hs = layer->before ? layer->Hs : layer->Hs + begin * H;
        pack_columns(to, Hs, layer->before ? layer->before + begin : NULL, H, min(STRIP, all - begin));
        if (layer->X) pack_columns(to + (int64_t)H * STRIP, layer->X + begin * D, NULL, D, min(STRIP, all - begin));
    }
    int first = share(panels, me.rank, me.size), last = share(panels, me.rank + 1, me.size);
    int64_t size = (int64_t)(H + D + 1) * PANEL; /* floats of the sums of a panel: H rows of dW_h, D rows of dW_x, db */
    for (int p = first; p < last; p++) memset(layer->table + p * size + H * PANEL, 0, sizeof(float) * (D + 1) * PANEL);
    meet(&me, &layer->arrived);
    for (int s = 0; s < strips; s++) {
        const float *columns = layer->panels + (int64_t)s * rows * STRIP;
        int64_t begin = (int64_t)s * STRIP;
        for (int p = first; p < last; p++) {
            float *sums = layer->table + p * size, *sums_x = sums + (int64_t)H * PANEL;
            const float *lines = gates_of(layer, 0, p) + begin * PANEL;
            const float *next = lines + to_next_panel(layer);
            if (p == last - 1) next = gates_of(layer, 0, first) + (begin + STRIP) * PANEL;
            Strip strip = {lines, next, min(STRIP, all - begin), p, s == 0, s == strips - 1};
            add_lines(&strip, layer->ids ? layer->ids + begin : NULL, sums_x, sums_x + (int64_t)D * PANEL);
            for (Tile tile = tile_from(0, H, 0, rows); tile.rows; tile = after(tile))
                gradient_tile(tile, &strip, columns, layer->dW_h, H, sums);
            for (Tile tile = tile_from(0, of_X, H, rows); tile.rows; tile = after(tile))
                gradient_tile(tile, &strip, columns + (int64_t)H * STRIP, layer->dW_x, H, sums_x);
        }
    }
    for (int p = first; p < last; p++) {
        const float *sums_x = layer->table + p * size + (int64_t)H * PANEL;
        if (layer->ids) unpack_gates(layer->dW_x, sums_x, D, H, p);
        unpack_gates(layer->db, sums_x + (int64_t)D * PANEL, 1, H, p);
    }
}

/* The exported functions; they return 0 if there is no memory for the packed arrays. `left` has the rows at each step, NULL
   where all end together. The batch is split into row_blocks
   blocks, one for each of as many threads, and the units of a block over the remaining threads. */

static int run_layer(Layer layer, void (*part)(void *), int threads, int64_t panels, int64_t input_panels, int64_t table) {
    float *memory = floats(panels + input_panels + table);
    layer.starts = malloc((size_t)(layer.steps + 1) * sizeof *layer.starts);
    if (!memory || !layer.starts) {
        free(memory);
        free(layer.starts);
        return 0;
    }
    layer.starts[0] = 0;
    for (int t = 0; t < layer.steps; t++) layer.starts[t + 1] = layer.starts[t] + rows_at(&layer, t);
    layer.panels = memory;
    layer.input_panels = memory + panels;
    layer.table = memory + panels + input_panels;
    layer.far = panels + input_panels > HALF_L2;
    run(threads, part, &layer);
    free(memory);
    free(layer.starts);
    return 1;
}

/* -1 if an id is not in 0 .. D - 1: nothing is computed then */
int layer_forward(int steps, int batch, int inputs, int hidden, const int *left, const float *X, const int64_t *ids,
                  const float *W_x, const float *W_h, const float *b, float *gates, float *Hs, float *Cs, int row_blocks,
                  int threads) {
    Layer layer = {.steps = steps, .batch = batch, .inputs = inputs, .hidden = hidden, .left = left, .X = X, .ids = ids,
                   .W_x = W_x, .W_h = W_h, .b = b, .gates = gates, .Hs = Hs, .Cs = Cs, .row_blocks = row_blocks};
    int64_t columns = gate_columns(hidden), wrong = 0, all = 0;
    for (int t = 0; t < steps; t++) all += rows_at(&layer, t);
    for (int64_t k = 0; ids && k < all; k++) wrong |= (uint64_t)ids[k] >= (uint64_t)inputs;
    if (wrong) return -1;
    return run_layer(layer, forward, threads, hidden * columns, X ? inputs * columns : 0, ids ? inputs * columns : columns);
}

/* Replaces the gates by dG. dH and dC are the gradients of the last state and become those of the state before the first
   step, dH only if `wants_dH`; dX is NULL if it is not wanted */
int layer_backward(int steps, int batch, int inputs, int hidden, const int *left, const float *W_x, const float *W_h,
                   float *gates, float *Cs, const float *dY, float *dH, float *dC, float *dX, int wants_dH, int row_blocks,
                   int threads) {
    Layer layer = {.steps = steps, .batch = batch, .inputs = inputs, .hidden = hidden, .left = left, .W_x = W_x, .W_h = W_h,
                   .gates = gates, .Cs = Cs, .dY = dY, .dH = dH, .dC = dC, .dX = dX, .row_blocks = row_blocks,
                   .until = wants_dH ? -1 : 0};
    int64_t panel = (int64_t)PANEL * gate_columns(hidden);
    return run_layer(layer, backward, threads, blocks(hidden, PANEL) * panel, dX ? blocks(inputs, PANEL) * panel : 0, 0);
}

/* dW_x, dW_h and db from the dG of `rows` rows, those of all steps. `before` says which row of Hs is the state before each of
   them; NULL: they are in the same order */
int layer_gradients(int rows, int inputs, int hidden, const int64_t *before, const float *X, const int64_t *ids, float *Hs,
                    float *dG, float *dW_x, float *dW_h, float *db, int threads) {
    Layer layer = {.steps = 1, .batch = rows, .inputs = inputs, .hidden = hidden, .before = before, .X = X, .ids = ids,
                   .Hs = Hs, .gates = dG, .dW_x = dW_x, .dW_h = dW_h, .db = db};
    int64_t turned = (int64_t)blocks(rows, STRIP) * STRIP * (hidden + (X ? inputs : 0));
    return run_layer(layer, gradients, threads, turned, 0, (int64_t)(hidden + inputs + 1) * gate_columns(hidden));
}
