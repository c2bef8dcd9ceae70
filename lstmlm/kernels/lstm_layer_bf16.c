/* One LSTM layer over a whole sequence, and its gradient, with products in bfloat16 and sums in float32: the equations of
   lstm_layer.c, whose letters and arguments these are. Inputs of a product (weights, H, X, dG) are rounded to bfloat16;
   the sums, the cells, C and all that is returned are float32.

   Rows of the batch and units are taken in blocks of 16, the side of a tile (tiles.h), and padded with zeros: `rows` is
   T * B with B padded to 16, `units` is H padded to 32.

       gates  (units/16, T, B padded, 4 gates, 16 units) float32: the sums X W_x + b, then the gates, then dG
       W_h    tiles of B [units/16][H/32][4 gates]; its transpose, with the sums of dG, [groups of 4][4 units/32][4]
       H, dG  tiles of A [T][B/16][...]: H with its units in order, dG with two tiles for 16 units: I and F, O and C~

   Products over all steps are done before (X W_x) or after (dX, gradients of the weights) the loop over the steps. Threads
   divide the rows, or the units with a barrier after each step, as in lstm_layer.c. */

#include <stdlib.h>

#include "team.h"
#include "tiles.h"
#include "vectors.h"

enum { GATES = 4 * SIDE, TOGETHER = 4 /* rows whose tanh is computed at once */ };

typedef struct {
    int steps, batch, inputs, hidden, row_blocks, threads_of_rows, units, arrived, until, emulated;
    const int64_t *ids;
    const float *X, *W_x, *W_h, *b, *dY;
    float *gates, *Hs, *Cs, *dH, *dC, *dX, *dW_x, *dW_h, *db;
    bf16 *own, *panels, *input_panels, *input_tiles; /* tiles of H or dG; W_h and W_x packed; X packed */
    float *table;                                    /* b, or with ids each row of W_x + b, in the order of gates */
} Layer;

INLINE int padded(const Layer *layer) { return layer->row_blocks * SIDE; }
INLINE int64_t all_rows(const Layer *layer) { return (int64_t)layer->steps * padded(layer); }
INLINE int unit_blocks(const Layer *layer) { return layer->units / SIDE; }
INLINE float *gates_of(const Layer *layer, int u, int64_t row) {
    return layer->gates + (u * all_rows(layer) + row) * GATES;
}
INLINE int rows_in(const Layer *layer, int block) { return min(SIDE, layer->batch - block * SIDE); }

static void multiply(const Layer *layer, const bf16 *A, const bf16 *B, int tiles, int count, float *sums) {
    (layer->emulated ? emulate : multiply_tiles)(A, B, tiles, count, sums);
}
INLINE void begin_tiles(const Layer *layer) { if (!layer->emulated) open_tiles(); }
INLINE void end_tiles(const Layer *layer) { if (!layer->emulated) close_tiles(); }

/* The part of a step that one thread computes: blocks of rows first .. last, and part `column` of `columns` of the units */
typedef struct { int first, last, column, columns; } Part;

static Part part_of(const Layer *layer, const Thread *me) {
    int rows = max(1, min(min(layer->threads_of_rows, layer->row_blocks), me->size)), columns = me->size / rows;
    int row = me->rank % rows, column = me->rank / rows;
    if (column >= columns) return (Part){0, 0, 0, columns};
    return (Part){share(layer->row_blocks, row, rows), share(layer->row_blocks, row + 1, rows), column, columns};
}
INLINE int begin(const Part *part, int of) { return share(of, part->column, part->columns); }
INLINE int end(const Part *part, int of) { return share(of, part->column + 1, part->columns); }

/* Packing */

/* Block u of the units of W (K, 4H), as tiles of B [K/32][4 gates] */
static void pack_gates(bf16 *to, const float *W, int K, int H, int u) {
    for (int k = 0; k < blocks(K, DEPTH) * DEPTH; k += 2)
        for (int g = 0; g < 4; g++) {
            const float *from = W + ((int64_t)k * 4 + g) * H + u * SIDE;
            bf16 *tile = to + ((int64_t)k / DEPTH * 4 + g) * TILE;
            store_pairs(tile + k % DEPTH * SIDE, k < K ? from : NULL, k + 1 < K ? from + 4 * H : NULL, H - u * SIDE);
        }
}

/* The transpose of W (N, 4H): group `group` of 4 blocks of 16 rows, as tiles of B [units/16][2][blocks of the group] */
static void pack_transposed(bf16 *to, const float *W, int N, int H, int units, int group) {
    int count = min(MOST_TILES, blocks(N, SIDE) - group * MOST_TILES);
    bf16 rows[TILE] __attribute__((aligned(64)));
    for (int u = 0; u < units / SIDE; u++)
        for (int half = 0; half < 2; half++)
            for (int j = 0; j < count; j++, to += TILE) {
                for (int c = 0; c < SIDE; c++) {
                    int n = (group * MOST_TILES + j) * SIDE + c, left = n < N ? max(0, H - u * SIDE) : 0;
                    const float *from = left ? W + ((int64_t)n * 4 + 2 * half) * H + u * SIDE : W;
                    store_bf16(rows + c * DEPTH, from, left);
                    store_bf16(rows + c * DEPTH + SIDE, from + (left ? H : 0), left);
                }
                transpose_pairs(to, rows);
            }
}

/* A row of A (T, B, n) with B padded; NULL for a row of the padding */
INLINE const float *row_of(const Layer *layer, const float *A, int n, int64_t row) {
    int64_t t = row / padded(layer), r = row % padded(layer);
    return t < layer->steps && r < layer->batch ? A + (t * layer->batch + r) * n : NULL;
}

/* Rows of a block of A (T, B, n) as tiles of A [n/32] */
static void pack_rows(bf16 *to, const Layer *layer, const float *A, int n, int64_t block) {
    for (int r = 0; r < SIDE; r++) {
        const float *from = row_of(layer, A, n, block * SIDE + r);
        for (int k = 0; k < blocks(n, DEPTH) * DEPTH; k += SIDE)
            store_bf16(to + ((int64_t)k / DEPTH * SIDE + r) * DEPTH + k % DEPTH, from ? from + k : layer->b,
                       from ? max(0, n - k) : 0);
    }
}

/* Columns of block m of A (T, B, n), transposed, as tiles of A [rows/32] */
static void pack_columns(bf16 *to, const Layer *layer, const float *A, int n, int m) {
    bf16 pairs[TILE] __attribute__((aligned(64)));
    for (int k = 0; k < blocks(all_rows(layer), DEPTH); k++) {
        for (int p = 0; p < SIDE; p++) {
            const float *low = row_of(layer, A, n, (int64_t)k * DEPTH + 2 * p);
            const float *high = row_of(layer, A, n, (int64_t)k * DEPTH + 2 * p + 1);
            store_pairs(pairs + p * DEPTH, low ? low + m * SIDE : NULL, high ? high + m * SIDE : NULL, n - m * SIDE);
        }
        transpose_pairs(to + (int64_t)k * TILE, pairs);
    }
}

/* dG of block u of the units as tiles of B [rows/32][4 gates] */
static void pack_lines(bf16 *to, const Layer *layer, int u) {
    int64_t rows = all_rows(layer);
    for (int64_t row = 0; row < blocks(rows, DEPTH) * DEPTH; row += 2) {
        const float *line = row < rows ? gates_of(layer, u, row) : NULL; /* rows is even */
        for (int g = 0; g < 4; g++)
            store_pairs(to + (row / DEPTH * 4 + g) * TILE + row % DEPTH * SIDE, line ? line + g * SIDE : NULL,
                        line ? line + GATES + g * SIDE : NULL, SIDE);
    }
}

/* Forward */

INLINE bf16 *own_tiles(const Layer *layer, int t, int block, int tiles) {
    return layer->own + ((int64_t)t * layer->row_blocks + block) * tiles * TILE;
}

/* The cells of block u of the units and a block of rows at step t, whose sums H W_h are given */
static void forward_cells(const Layer *layer, int t, int block, int u, const float *sums) {
    int B = layer->batch, H = layer->hidden, tiles = layer->units / DEPTH, rows = rows_in(layer, block);
    bf16 *tile = own_tiles(layer, t + 1, block, tiles) + u / 2 * TILE + u % 2 * SIDE;
    for (int first = 0; first < rows; first += TOGETHER)
        for (int v = 0; v < SIDE; v += WIDTH) {
            int n = max(0, H - u * SIDE - v), count = min(TOGETHER, rows - first);
            vec O[TOGETHER], cells[TOGETHER] = {0};
            for (int i = 0; i < count; i++) {
                int r = first + i, row = block * SIDE + r;
                float *own = gates_of(layer, u, (int64_t)t * padded(layer) + row) + v;
                const float *start = own;
                if (layer->ids)
                    start = layer->table + ((int64_t)u * layer->inputs + layer->ids[(int64_t)t * B + row]) * GATES + v;
                vec gates[4];
                UNROLL for (int g = 0; g < 4; g++)
                    gates[g] = *(const vec *)(start + g * SIDE) + *(const vec *)(sums + g * SUMS + r * SIDE + v);
                activate(3, 4, gates);
                UNROLL for (int g = 0; g < 4; g++) *(vec *)(own + g * SIDE) = gates[g];
                float *C = layer->Cs + ((int64_t)t * B + row) * H + u * SIDE + v;
                cells[i] = gates[1] * load(C, n) + gates[0] * gates[3];
                store(C + (int64_t)B * H, cells[i], n);
                O[i] = gates[2];
            }
            activate(0, TOGETHER, cells);
            for (int i = 0; i < count; i++) {
                int r = first + i;
                vec Y = O[i] * cells[i];
                store(layer->Hs + ((int64_t)(t + 1) * B + block * SIDE + r) * H + u * SIDE + v, Y, n);
                *(halves *)(tile + r * DEPTH + v) = __builtin_convertvector(round_upper(Y) >> 16, halves);
            }
        }
}

static void forward(void *data) {
    Layer *layer = data;
    int H = layer->hidden, D = layer->inputs, count = unit_blocks(layer), tiles = layer->units / DEPTH;
    int input_tiles = blocks(D, DEPTH), lines = layer->ids ? D : 1;
    Thread me = this_thread();
    for (int u = share(count, me.rank, me.size); u < share(count, me.rank + 1, me.size); u++) {
        pack_gates(layer->panels + (int64_t)u * tiles * 4 * TILE, layer->W_h, H, H, u);
        if (layer->X) pack_gates(layer->input_panels + (int64_t)u * input_tiles * 4 * TILE, layer->W_x, D, H, u);
        for (int d = 0; d < lines; d++)
            for (int v = 0; v < GATES; v += WIDTH) {
                int at = v / SIDE * H + u * SIDE + v % SIDE, n = max(0, H - u * SIDE - v % SIDE);
                vec sum = load(layer->b + at, n);
                if (layer->ids) sum += load(layer->W_x + (int64_t)d * 4 * H + at, n);
                *(vec *)(layer->table + ((int64_t)u * lines + d) * GATES + v) = sum;
            }
    }
    int64_t every = layer->X ? all_rows(layer) / SIDE : 0;
    for (int64_t k = every * me.rank / me.size; k < every * (me.rank + 1) / me.size; k++)
        pack_rows(layer->input_tiles + k * input_tiles * TILE, layer, layer->X, D, k);
    for (int k = share(layer->row_blocks, me.rank, me.size); k < share(layer->row_blocks, me.rank + 1, me.size); k++)
        pack_rows(own_tiles(layer, 0, k, tiles), layer, layer->Hs, H, k);
    meet(&me, &layer->arrived);
    Part mine = part_of(layer, &me);
    int first = begin(&mine, count / 2) * 2, last = end(&mine, count / 2) * 2; /* two blocks share a line of the cache */
    float sums[MOST_TILES * SUMS] __attribute__((aligned(64)));
    begin_tiles(layer);
    for (int u = first; u < last && layer->X; u++)
        for (int t = 0; t < layer->steps; t++)
            for (int k = mine.first; k < mine.last; k++) {
                const bf16 *from = layer->input_tiles + ((int64_t)t * layer->row_blocks + k) * input_tiles * TILE;
                multiply(layer, from, layer->input_panels + (int64_t)u * input_tiles * 4 * TILE, input_tiles, 4, sums);
                for (int r = 0; r < rows_in(layer, k); r++)
                    for (int v = 0; v < GATES; v += WIDTH)
                        *(vec *)(gates_of(layer, u, (int64_t)t * padded(layer) + k * SIDE + r) + v) =
                            *(const vec *)(sums + v / SIDE * SUMS + r * SIDE + v % SIDE) +
                            *(const vec *)(layer->table + u * GATES + v);
            }
    for (int t = 0; t < layer->steps; t++) {
        for (int u = first; u < last; u++)
            for (int k = mine.first; k < mine.last; k++) {
                multiply(layer, own_tiles(layer, t, k, tiles), layer->panels + (int64_t)u * tiles * 4 * TILE, tiles, 4, sums);
                forward_cells(layer, t, k, u, sums);
            }
        if (mine.columns > 1) meet(&me, &layer->arrived);
    }
    end_tiles(layer);
}

/* Backward */

/* Units of `count` blocks from block u on, and a block of rows, at step t: from the sums dG_t+1 W_h^T to dG_t, or to dH of
   the state before the first step */
static void backward_cells(const Layer *layer, int t, int block, int u, int count, const float *sums) {
    int B = layer->batch, H = layer->hidden, rows = rows_in(layer, block), tiles = 2 * unit_blocks(layer);
    int is_last = t == layer->steps - 1;
    for (int r = 0; r < SIDE; r++)
        for (int v = 0; v < SIDE; v += WIDTH) {
            int row = block * SIDE + r;
            vec shown[MOST_TILES] = {0}, dH[MOST_TILES] = {0};
            for (int j = 0; j < count && r < rows; j++) {
                int at = (u + j) * SIDE + v, n = max(0, H - at);
                dH[j] = is_last ? load(layer->dH + (int64_t)row * H + at, n)
                                : *(const vec *)(sums + j * SUMS + r * SIDE + v);
                if (t >= 0) {
                    dH[j] += load(layer->dY + ((int64_t)t * B + row) * H + at, n);
                    shown[j] = load(layer->Cs + ((int64_t)(t + 1) * B + row) * H + at, n);
                } else
                    store(layer->dH + (int64_t)row * H + at, dH[j], n);
            }
            if (t < 0) continue;
            activate(0, MOST_TILES, shown);
            for (int j = 0; j < count; j++) {
                float *own = gates_of(layer, u + j, (int64_t)t * padded(layer) + row) + v;
                bf16 *tile = own_tiles(layer, t, block, tiles) + (int64_t)(u + j) * 2 * TILE + r * DEPTH + v;
                vec dG[4] = {0};
                if (r < rows) {
                    int at = (u + j) * SIDE + v, n = max(0, H - at);
                    float *dC = layer->dC + (int64_t)row * H + at;
                    vec I = *(vec *)own, F = *(vec *)(own + SIDE), O = *(vec *)(own + 2 * SIDE);
                    vec C_tilda = *(vec *)(own + 3 * SIDE);
                    vec cell = load(dC, n) + dH[j] * O * (1 - shown[j] * shown[j]);
                    dG[0] = cell * C_tilda * I * (1 - I);
                    dG[1] = cell * load(layer->Cs + ((int64_t)t * B + row) * H + at, n) * F * (1 - F);
                    dG[2] = dH[j] * shown[j] * O * (1 - O);
                    dG[3] = cell * I * (1 - C_tilda * C_tilda);
                    store(dC, cell * F, n);
                }
                UNROLL for (int g = 0; g < 4; g++) {
                    *(vec *)(own + g * SIDE) = dG[g];
                    *(halves *)(tile + g / 2 * TILE + g % 2 * SIDE) = __builtin_convertvector(round_upper(dG[g]) >> 16, halves);
                }
            }
        }
}

static void backward(void *data) {
    Layer *layer = data;
    int H = layer->hidden, D = layer->inputs, count = blocks(H, SIDE), tiles = 2 * unit_blocks(layer);
    int groups = blocks(count, MOST_TILES), input_blocks = layer->dX ? blocks(D, SIDE) : 0;
    int input_groups = blocks(input_blocks, MOST_TILES);
    int64_t size = (int64_t)tiles * MOST_TILES * TILE; /* of a group */
    Thread me = this_thread();
    for (int k = share(groups, me.rank, me.size); k < share(groups, me.rank + 1, me.size); k++)
        pack_transposed(layer->panels + k * size, layer->W_h, H, H, layer->units, k);
    for (int k = share(input_groups, me.rank, me.size); k < share(input_groups, me.rank + 1, me.size); k++)
        pack_transposed(layer->input_panels + k * size, layer->W_x, D, H, layer->units, k);
    meet(&me, &layer->arrived);
    Part mine = part_of(layer, &me);
    float sums[MOST_TILES * SUMS] __attribute__((aligned(64)));
    begin_tiles(layer);
    for (int t = layer->steps - 1; t >= layer->until; t--) {
        for (int group = begin(&mine, groups); group < end(&mine, groups); group++)
            for (int k = mine.first; k < mine.last; k++) {
                int u = group * MOST_TILES, some = min(MOST_TILES, count - u);
                if (t < layer->steps - 1)
                    multiply(layer, own_tiles(layer, t + 1, k, tiles), layer->panels + group * size, tiles, some, sums);
                backward_cells(layer, t, k, u, some, sums);
            }
        if (mine.columns > 1) meet(&me, &layer->arrived);
    }
    for (int group = begin(&mine, input_groups); group < end(&mine, input_groups); group++)
        for (int t = 0; t < layer->steps; t++)
            for (int k = mine.first; k < mine.last; k++) {
                int block = group * MOST_TILES, some = min(MOST_TILES, input_blocks - block);
                multiply(layer, own_tiles(layer, t, k, tiles), layer->input_panels + group * size, tiles, some, sums);
                for (int r = 0; r < rows_in(layer, k); r++)
                    for (int v = 0; v < some * SIDE; v += WIDTH) {
                        int at = block * SIDE + v;
                        store(layer->dX + ((int64_t)t * layer->batch + k * SIDE + r) * D + at,
                              *(const vec *)(sums + v / SIDE * SUMS + r * SIDE + v % SIDE), max(0, D - at));
                    }
            }
    end_tiles(layer);
}

/* Gradients of the weights */

/* Blocks of 16 rows of dW (n, 4H), = columns of A, transposed and packed, times dG of block u of the units */
static void gradient_product(const Layer *layer, const bf16 *columns, const bf16 *lines, int n, float *dW, int u) {
    int H = layer->hidden, tiles = blocks(all_rows(layer), DEPTH);
    float sums[MOST_TILES * SUMS] __attribute__((aligned(64)));
    for (int m = 0; m < blocks(n, SIDE); m++) {
        multiply(layer, columns + (int64_t)m * tiles * TILE, lines, tiles, 4, sums);
        for (int i = 0; i < min(SIDE, n - m * SIDE); i++)
            for (int v = 0; v < GATES; v += WIDTH)
                store(dW + ((int64_t)(m * SIDE + i) * 4 + v / SIDE) * H + u * SIDE + v % SIDE,
                      *(const vec *)(sums + v / SIDE * SUMS + i * SIDE + v % SIDE), max(0, H - u * SIDE - v % SIDE));
    }
}

/* Line `line` of `lines` sums in the order of gates, to a row of 4H */
static void unpack_line(float *to, const float *line, int H, int u) {
    for (int v = 0; v < GATES; v += WIDTH)
        store(to + v / SIDE * H + u * SIDE + v % SIDE, *(const vec *)(line + v), max(0, H - u * SIDE - v % SIDE));
}

static void gradients(void *data) {
    Layer *layer = data;
    int H = layer->hidden, D = layer->inputs, count = blocks(H, SIDE), input_blocks = layer->X ? blocks(D, SIDE) : 0;
    int64_t tiles = blocks(all_rows(layer), DEPTH), column = tiles * TILE;
    Thread me = this_thread();
    for (int m = share(count, me.rank, me.size); m < share(count, me.rank + 1, me.size); m++)
        pack_columns(layer->own + m * column, layer, layer->Hs, H, m);
    for (int m = share(input_blocks, me.rank, me.size); m < share(input_blocks, me.rank + 1, me.size); m++)
        pack_columns(layer->input_tiles + m * column, layer, layer->X, D, m);
    meet(&me, &layer->arrived);
    begin_tiles(layer);
    for (int u = share(count, me.rank, me.size); u < share(count, me.rank + 1, me.size); u++) {
        bf16 *lines = layer->panels + (int64_t)u * 4 * column;
        pack_lines(lines, layer, u);
        gradient_product(layer, layer->own, lines, H, layer->dW_h, u);
        if (layer->X) gradient_product(layer, layer->input_tiles, lines, D, layer->dW_x, u);
        float *table = layer->table + (int64_t)u * (D + 1) * GATES, *sum = table + (int64_t)D * GATES;
        memset(table, 0, sizeof(float) * (D + 1) * GATES);
        for (int64_t row = 0; row < all_rows(layer); row++) {
            int64_t t = row / padded(layer), r = row % padded(layer);
            if (r >= layer->batch) continue;
            float *line = gates_of(layer, u, row), *of_id = layer->ids ? table + layer->ids[t * layer->batch + r] * GATES : NULL;
            for (int v = 0; v < GATES; v += WIDTH) {
                *(vec *)(sum + v) += *(vec *)(line + v);
                if (of_id) *(vec *)(of_id + v) += *(vec *)(line + v);
            }
        }
        for (int d = 0; d < D && layer->ids; d++)
            unpack_line(layer->dW_x + (int64_t)d * 4 * H, table + (int64_t)d * GATES, H, u);
        unpack_line(layer->db, sum, H, u);
    }
    end_tiles(layer);
}

/* The exported functions: as those of lstm_layer.c, which return 0 if there is no memory, with `emulated`. gates has
   gate_numbers(T, B, H) floats. */

int64_t gate_numbers(int steps, int batch, int hidden) {
    return (int64_t)blocks(hidden, DEPTH) * DEPTH * 4 * steps * blocks(batch, SIDE) * SIDE;
}

int have_tiles(void) { return ask_for_tiles(); }

/* For the tests: `count` products of tiles */
void tile_product(const bf16 *A, const bf16 *B, int tiles, int count, float *sums, int emulated) {
    Layer layer = {.emulated = emulated};
    begin_tiles(&layer);
    multiply(&layer, A, B, tiles, count, sums);
    end_tiles(&layer);
}

static int run_layer(Layer layer, void (*part)(void *), int threads, int64_t own, int64_t panels, int64_t input_panels,
                     int64_t input_tiles, int64_t table) {
    size_t tiles = own + panels + input_panels + input_tiles;
    char *memory = aligned_alloc(64, (tiles * TILE * sizeof(bf16) + table * GATES * sizeof(float) + 64) / 64 * 64);
    if (!memory) return 0;
    layer.own = (bf16 *)memory;
    layer.panels = layer.own + own * TILE;
    layer.input_panels = layer.panels + panels * TILE;
    layer.input_tiles = layer.input_panels + input_panels * TILE;
    layer.table = (float *)(layer.input_tiles + input_tiles * TILE);
    memset(layer.own, 0, own * TILE * sizeof(bf16)); /* rows and units of the padding */
    run(threads, part, &layer);
    free(memory);
    return 1;
}

static Layer layer_of(int steps, int batch, int inputs, int hidden, int row_blocks, int emulated) {
    return (Layer){.steps = steps, .batch = batch, .inputs = inputs, .hidden = hidden, .row_blocks = blocks(batch, SIDE),
                   .threads_of_rows = row_blocks, .units = blocks(hidden, DEPTH) * DEPTH, .emulated = emulated};
}

/* -1 if an id is not in 0 .. D - 1: nothing is computed then */
int layer_forward(int steps, int batch, int inputs, int hidden, const float *X, const int64_t *ids, const float *W_x,
                  const float *W_h, const float *b, float *gates, float *Hs, float *Cs, int row_blocks, int threads,
                  int emulated) {
    Layer layer = layer_of(steps, batch, inputs, hidden, row_blocks, emulated);
    layer.X = X, layer.ids = ids, layer.W_x = W_x, layer.W_h = W_h, layer.b = b;
    layer.gates = gates, layer.Hs = Hs, layer.Cs = Cs;
    int64_t wrong = 0, tiles = layer.units / DEPTH, count = unit_blocks(&layer), of_X = X ? blocks(inputs, DEPTH) : 0;
    for (int64_t k = 0; ids && k < (int64_t)steps * batch; k++) wrong |= (uint64_t)ids[k] >= (uint64_t)inputs;
    if (wrong) return -1;
    return run_layer(layer, forward, threads, (steps + 1) * layer.row_blocks * tiles, count * tiles * 4, count * of_X * 4,
                     (int64_t)steps * layer.row_blocks * of_X, count * (ids ? inputs : 1));
}

int layer_backward(int steps, int batch, int inputs, int hidden, const float *W_x, const float *W_h, float *gates, float *Cs,
                   const float *dY, float *dH, float *dC, float *dX, int wants_dH, int row_blocks, int threads,
                   int emulated) {
    Layer layer = layer_of(steps, batch, inputs, hidden, row_blocks, emulated);
    layer.W_x = W_x, layer.W_h = W_h, layer.gates = gates, layer.Cs = Cs;
    layer.dY = dY, layer.dH = dH, layer.dC = dC, layer.dX = dX, layer.until = wants_dH ? -1 : 0;
    int64_t tiles = 2 * unit_blocks(&layer), groups = blocks(blocks(hidden, SIDE), MOST_TILES);
    int64_t input_groups = dX ? blocks(blocks(inputs, SIDE), MOST_TILES) : 0;
    return run_layer(layer, backward, threads, (int64_t)steps * layer.row_blocks * tiles, groups * tiles * MOST_TILES,
                     input_groups * tiles * MOST_TILES, 0, 0);
}

int layer_gradients(int steps, int batch, int inputs, int hidden, const float *X, const int64_t *ids, float *Hs, float *dG,
                    float *dW_x, float *dW_h, float *db, int threads, int emulated) {
    Layer layer = layer_of(steps, batch, inputs, hidden, 1, emulated);
    layer.X = X, layer.ids = ids, layer.Hs = Hs, layer.gates = dG, layer.dW_x = dW_x, layer.dW_h = dW_h, layer.db = db;
    int64_t tiles = blocks(all_rows(&layer), DEPTH), count = blocks(hidden, SIDE);
    return run_layer(layer, gradients, threads, count * tiles, count * tiles * 4, 0, X ? blocks(inputs, SIDE) * tiles : 0,
                     count * (inputs + 1));
}
