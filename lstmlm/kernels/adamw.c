/* A step of AdamW (Loshchilov and Hutter 2019) with clipping, in one pass over the parameters, float32.

   For each number p of a parameter, its gradient g and its moments m and v, where s is the factor of clipping:

       g' = s g                      m = m + (1 - beta_1) (g' - m)            v = beta_2 v + (1 - beta_2) g'^2
       p  = (1 - lr weight_decay) p - lr / (1 - beta_1^t) m / (sqrt(v) / sqrt(1 - beta_2^t) + eps)

   The operations and their order are those of PyTorch's fused AdamW on a CPU, which rounds v in another order for the last
   numbers of a parameter, those that do not fill a vector. So the bits are the same where PyTorch was compiled to round as
   here (2.13, AVX2). The gradient is only read. The time is that of reading four arrays and writing three. */

#include <math.h>
#include <stdint.h>

#include "team.h"
#include "vectors.h"

enum { SHARE = 16, SMALL = 1 << 15 /* numbers for which starting threads takes longer than the step */ };

/* One parameter of `size` numbers; t is the number of steps made */
typedef struct {
    float *param, *m, *v, *t;
    const float *grad;
    int64_t size;
    double lr, weight_decay;
} Parameter;

typedef struct {
    const Parameter *params;
    int count;
    float scale;
    double beta_1, beta_2, eps;
} Job;

INLINE vec square_root(vec x) {
#if defined(__AVX512F__)
    return _mm512_sqrt_ps(x);
#elif defined(__AVX__)
    return _mm256_sqrt_ps(x);
#else
    for (int j = 0; j < WIDTH; j++) x[j] = __builtin_sqrtf(x[j]);
    return x;
#endif
}

static void update(const Job *job, const Parameter *of, int64_t from, int64_t until) {
    double t = *of->t, beta_1 = job->beta_1;
    vec scale = splat(job->scale), first = splat(1 - beta_1), beta_2 = splat(job->beta_2), second = splat(1 - job->beta_2);
    vec keep = splat(1 - of->lr * of->weight_decay), rate = splat(-of->lr / (1 - pow(beta_1, t)));
    vec root = splat(sqrt(1 - pow(job->beta_2, t))), eps = splat(job->eps);
    for (int64_t i = from; i < until; i += WIDTH) {
        int n = until - i < WIDTH ? (int)(until - i) : WIDTH;
        vec g = load(of->grad + i, n) * scale, m = load(of->m + i, n), v = load(of->v + i, n);
        m = add_product(m, first, g - m);
        v = n == WIDTH ? add_product(v * beta_2, second * g, g) : add_product(second * g * g, beta_2, v);
        store(of->m + i, m, n);
        store(of->v + i, v, n);
        store(of->param + i, load(of->param + i, n) * keep + rate * m / (square_root(v) / root + eps), n);
    }
}

static void step(void *data) {
    const Job *job = data;
    Thread me = this_thread();
    for (int k = 0; k < job->count; k++) {
        const Parameter *of = job->params + k;
        int64_t lines = (of->size + SHARE - 1) / SHARE, end = lines * (me.rank + 1) / me.size * SHARE;
        update(job, of, lines * me.rank / me.size * SHARE, end < of->size ? end : of->size);
    }
}

/* Update all parameters, and count the step. scale is NULL for 1. Numbers do not depend on the threads. */
void adamw_step(const Parameter *params, int count, const float *scale, double beta_1, double beta_2, double eps,
                int threads) {
    Job job = {params, count, scale ? *scale : 1, beta_1, beta_2, eps};
    int64_t all = 0;
    for (int k = 0; k < count; k++) {
        all += params[k].size;
        *params[k].t += 1;
    }
    run(all < SMALL ? 1 : threads, step, &job);
}
