/* The steps of LSTM layers and the output layer, one character at a time, and the draw of the next character: the same
   computations as lstmlm/generation/stepper.py and lstmlm/generation/sampling.py in numpy. States and logits are float32,
   the draw is float64; W_h and W_x are float32 or, on request, bfloat16 or int8 (row_products.h), the rest is float32.

   L = num_layers, H = num_hiddens, V = vocab_size, N = samples drawn together, n = characters of a call.

       ids (n, N)               drawn here, or given; the characters that were seen before may precede them
       logits (n+1, N, V)       ids[t] are drawn from logits[t]; [0] is given
       states (n+1, L, 2, N, H) H and C of each layer; [0] is given. All are kept, so a caller can return to any of them.

   Step t, where x is H_t+1 of the layer below:

       S = b + x W_x; for the first layer, the row of a table that the character selects
       [I, F, O, C~] = sigmoid, sigmoid, sigmoid, tanh of (S + H_t W_h)
       C_t+1 = F * C_t + I * C~            H_t+1 = O * tanh(C_t+1)            logits = b_q + x W_hq

   A product of one row with a matrix uses each weight once, so its time is that of reading the weights from the nearest
   cache that holds them. The blocking, from the innermost level outwards:

       registers   a tile is one row by two panels, or up to ROWS rows by one panel; a panel is VECS vectors of WIDTH
                   columns. That is enough independent sums to hide the latency of an addition, and with several rows each
                   loaded weight is used for all of them.
       L1, L2      a panel is packed in the order in which it is read; where the columns are gates, a panel has the four
                   gates of WIDTH units.
       L2          a layer's next H W_h depends only on its new H, not on the next character. So every second step computes
                   it immediately, with the panels in reverse order: the part of W_h that is still in the cache is used
                   again. The step after that takes the panels of W_x in reverse order too.

   Every sum has a fixed order, and products and sums are rounded one by one: a text depends neither on the samples drawn
   beside it, nor on how it is cut into calls, nor on the processor's vectors. FMA would not make it faster, because its
   time is that of reading the weights.

   The packed weights are one array: the table (V, columns); for each layer W_h, and for all but the first layer b and W_x;
   b_q and W_hq. columns is 4H in panels of gates, padded with zeros; V is padded in the same way in b_q and W_hq.
   generation/packing.py writes it. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "row_products.h"

/* One row: S and R = H W_h (columns), in panels of gates, and C (H) -> the next H and C */
static void cells(const float *S, const float *R, const float *C, float *next_H, float *next_C, int H) {
    for (int u = 0; u < H; u += WIDTH) {
        const vec *s = (const vec *)(S + u * 4), *r = (const vec *)(R + u * 4);
        vec gates[4] = {s[0] + r[0], s[1] + r[1], s[2] + r[2], s[3] + r[3]};
        activate(3, 4, gates);
        vec cell = gates[1] * load(C + u, H - u) + gates[0] * gates[3];
        store(next_C + u, cell, H - u);
        activate(0, 1, &cell);
        store(next_H + u, gates[2] * cell, H - u);
    }
}

/* The draw: `compute_distribution` and `draw` of sampling.py, operation by operation, so that only the last bit of `exp`
   can differ. A logit that is NaN gives the same character as there. */

typedef struct {
    double temperature, top_p, min_p, log_penalty;
    int64_t top_k, unk, window; /* unk: the id that is never drawn, or -1 */
} Settings;

typedef struct { double prob; int id; } Entry;

static int falling(const void *a, const void *b) { /* by falling probability, ties by id */
    const Entry *one = a, *other = b;
    if (one->prob != other->prob) return one->prob > other->prob ? -1 : 1;
    return one->id - other->id;
}

static int largest(const double *x, int V) {
    int best = 0;
    for (int i = 0; i < V && !isnan(x[best]); i++)
        if (x[i] > x[best] || isnan(x[i])) best = i;
    return best;
}

/* Set the probabilities outside of top-k and top-p to 0. `rest` has space for V numbers. */
static void keep_top(double *probs, int V, const Settings *settings, Entry *order, double *rest) {
    for (int i = 0; i < V; i++) order[i] = (Entry){probs[i], i};
    qsort(order, V, sizeof(Entry), falling);
    for (int64_t i = settings->top_k; i < V; i++) probs[order[i].id] = order[i].prob = 0;
    if (settings->top_p >= 1) return;
    double sum = 0; /* of the probabilities of this entry and of those after it */
    for (int i = V - 1; i >= 0; i--) rest[i] = sum += order[i].prob;
    for (int i = 1; i < V; i++)
        if (rest[i] <= (1 - settings->top_p) * rest[0]) probs[order[i].id] = 0;
}

/* Draw the character that follows `count` characters, seen[i * N] in order. x and rest have space for V numbers each. */
static int draw(const float *logits, int V, const int64_t *seen, int64_t count, int N, const Settings *settings,
                double uniform, double *x, double *rest, Entry *order) {
    for (int i = 0; i < V; i++) x[i] = logits[i];
    if (settings->unk >= 0) x[settings->unk] = -INFINITY;
    if (settings->log_penalty != 0)
        for (int64_t i = count > settings->window ? count - settings->window : 0; i < count; i++) {
            int64_t id = seen[i * N];
            x[id] = (id == settings->unk ? -INFINITY : logits[id]) - settings->log_penalty; /* a repeated one counts once */
        }
    int best = largest(x, V);
    if (settings->temperature == 0) return best;
    double most = x[best], sum = 0, temperature = settings->temperature > 1e-200 ? settings->temperature : 1e-200;
    for (int i = 0; i < V; i++) x[i] = exp((x[i] - most) / temperature);
    if (isnan(x[best])) return 0; /* a logit was not finite: nothing to sort by */
    if (settings->top_k < V || settings->top_p < 1) keep_top(x, V, settings, order, rest);
    double least = settings->min_p * x[best];
    for (int i = 0; i < V; i++) x[i] = sum += x[i] >= least ? x[i] : 0;
    for (int i = 0; i < V; i++)
        if (x[i] > uniform * sum) return i;
    return 0;
}

/* Exported functions */

static int gate_columns(int H) { return blocks(H, WIDTH) * PANEL; }
static int head_columns(int V) { return blocks(V, PANEL) * PANEL; }

int width(void) { return WIDTH; }

/* n steps of N samples, with weights of a kind. ids (m + n, N): with uniforms (n, N) the last n are drawn, and the m before
   them are those that the repetition penalty has seen; without uniforms (NULL) all are given. Returns 0 if there is no
   memory. */
int stretch(int kind, int L, int H, int V, const void *weights, int N, int n, float *states, float *logits, int m,
            int64_t *ids, const double *uniforms, double temperature, int64_t top_k, double top_p, double min_p, int64_t unk,
            double log_penalty, int64_t window) {
    Settings settings = {temperature, top_p, min_p, log_penalty, top_k, unk, window};
    int columns = gate_columns(H), head = head_columns(V);
    int64_t part = (int64_t)N * H, matrix = matrix_bytes(kind, H, columns), row = (int64_t)N * columns;
    int64_t floats = row * (L + 1) + (int64_t)N * head, rounded = blocks(N * (H + 1), 16) * 16;
    size_t bytes = (floats + rounded) * 4 + V * (2 * sizeof(double) + sizeof(Entry));
    float *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory) return 0;
    float *S = memory, *sums = S + row, *R = sums + (int64_t)N * head; /* R: H W_h of each layer */
    float *space = memory + floats;
    double *probs = (double *)(space + rounded);
    Entry *order = (Entry *)(probs + 2 * V);
    const float *table = weights;
    for (int t = 0; t < n; t++, states += L * 2 * part, logits += (int64_t)N * V) {
        int odd = t % 2;
        int64_t *now = ids + ((int64_t)m + t) * N;
        if (uniforms)
            for (int r = 0; r < N; r++)
                now[r] = draw(logits + (int64_t)r * V, V, ids + r, (int64_t)m + t, N, &settings,
                              uniforms[(int64_t)t * N + r], probs, probs + V, order);
        const char *W = (const char *)(table + (int64_t)V * columns);
        const float *x = NULL;
        for (int k = 0; k < L; k++) {
            const float *hidden = states + k * 2 * part;
            float *next = (float *)hidden + L * 2 * part, *R_k = R + k * row;
            const char *W_h = W;
            W += matrix;
            if (k) {
                const float *b = (const float *)W;
                W += columns * sizeof(float);
                product(kind, N, x, H, W, b, S, columns, odd, space);
                W += matrix;
            }
            if (!odd) product(kind, N, hidden, H, W_h, NULL, R_k, columns, 0, space);
            for (int r = 0; r < N; r++)
                cells(k ? S + r * (int64_t)columns : table + now[r] * columns, R_k + r * (int64_t)columns,
                      hidden + part + r * (int64_t)H, next + r * (int64_t)H, next + part + r * (int64_t)H, H);
            if (!odd && t + 1 < n) product(kind, N, next, H, W_h, NULL, R_k, columns, 1, space);
            x = next;
        }
        const float *b_q = (const float *)W;
        product(FLOAT32, N, x, H, b_q + head, b_q, sums, head, 0, NULL);
        for (int r = 0; r < N; r++) memcpy(logits + (int64_t)(N + r) * V, sums + (int64_t)r * head, V * sizeof(float));
    }
    free(memory);
    return 1;
}
