"""A complete LSTM in plain Python that learns to invent village names: python docs/microlstm.py, about a minute.

The six lines of the forward pass are those of lstmlm/scratch/lstm.py; the backward pass is the chain rule, gate by
gate. docs/equations.md has both as formulas. V characters, H hidden units; a matrix is a list of rows:
    X (V,) one-hot   H, C, I, F, O, C_tilda (H,)   W_x* (V, H)   W_h* (H, H)   b_* (1, H)   W_hq (H, V)   b_q (1, V)
dH is the gradient of the loss with respect to H, dC with respect to C, and so on.
"""

import math
import random

NAMES = """aldermere aldwick amberley anstow arlingham ashcombe averley barrowick birchcombe birling blackmere bramley
brightling brockham burstow calderwick chalcombe charlham chesterley coldham cranmere denham derwick dunmere eastling
elmcombe elverham fairley fenstow garling glenham gorsecombe gorsley greyling greystow hadley halcombe harling harwick
hazelmere hernham hollowcombe holmstow horsley kelmere kestow langham larkcombe larkling linwick loxley marham marstow
meadley milcombe millstow morley mossmere netherham northcombe oakley oakmere orling pendley penmere pinwick plumstow
radcombe ravenstow redling rookley rushmere saltcombe sandwick sedgeley shelstow silverham southwick staverley stonham
swanmere tarling tarwick thornham tidecombe underley walcombe waterling westley whitcombe wildmere winterham yarstow"""


class Row(list):
    """A row of numbers: `+` and `*` work element by element, `@` multiplies it by a matrix."""

    def __add__(self, other):
        return Row([a + b for a, b in zip(self, other, strict=True)])

    def __iadd__(self, other):  # in place, so that a row changes inside its matrix
        self[:] = self + other
        return self

    def __mul__(self, other):
        other = [other] * len(self) if isinstance(other, float) else other
        return Row([a * b for a, b in zip(self, other, strict=True)])

    def __rsub__(self, number):
        return Row([number - a for a in self])

    def __matmul__(self, matrix):
        total = [0.0] * len(matrix[0])
        for a, row in zip(self, matrix, strict=True):
            if a:  # a one-hot row selects one row of the matrix: the others cost nothing
                total = [t + a * w for t, w in zip(total, row, strict=True)]
        return Row(total)


def sigmoid(row):
    return Row([1 / (1 + math.exp(-a)) for a in row])


def tanh(row):
    return Row([math.tanh(a) for a in row])


def get_lstm_params(V, H, sigma, rng):
    """The 14 parameters in the order of the book: matrices drawn from N(0, sigma^2), biases zero."""
    shapes = [(V, H), (H, H), (1, H)] * 4 + [(H, V), (1, V)]
    return [[Row([rng.gauss(0, sigma * (m > 1)) for _ in range(n)]) for _ in range(m)] for m, n in shapes]


def lstm_step(x, H, C, params):
    """Read the character with index x: the gates, the new state, and the probabilities P (V,) of the next one."""
    W_xi, W_hi, (b_i,), W_xf, W_hf, (b_f,), W_xo, W_ho, (b_o,), W_xc, W_hc, (b_c,), W_hq, (b_q,) = params
    X = Row([float(k == x) for k in range(len(W_xi))])
    I = sigmoid(X @ W_xi + H @ W_hi + b_i)  # the part of the candidate that enters the cell
    F = sigmoid(X @ W_xf + H @ W_hf + b_f)  # the part of the old cell that stays
    O = sigmoid(X @ W_xo + H @ W_ho + b_o)  # the part of the cell that is shown
    C_tilda = tanh(X @ W_xc + H @ W_hc + b_c)  # the candidate
    C = F * C + I * C_tilda
    H = O * tanh(C)
    Y = H @ W_hq + b_q
    powers = Row([math.exp(y - max(Y)) for y in Y])  # softmax; the largest power is 1, so that nothing overflows
    return X, I, F, O, C_tilda, C, H, powers * (1 / sum(powers))


def forward(ids, params):
    """Predict every character but the first: the mean of -log P(next), and the values that backward needs."""
    H = C = Row([0.0] * len(params[1]))
    loss, steps = 0.0, []
    for t in range(len(ids) - 1):
        H_before, C_before = H, C
        X, I, F, O, C_tilda, C, H, P = lstm_step(ids[t], H, C, params)
        loss -= math.log(P[ids[t + 1]]) / (len(ids) - 1)
        steps.append((H_before, C_before, X, I, F, O, C_tilda, C, H, P, ids[t + 1]))
    return loss, steps


def backward(steps, params):
    """The gradients of the mean loss, in the order of params: the chain rule from the last step to the first."""
    W_hi, W_hf, W_ho, W_hc, W_hq = params[1], params[4], params[7], params[10], params[12]
    grads = [[row * 0.0 for row in W] for W in params]
    dW_xi, dW_hi, db_i, dW_xf, dW_hf, db_f, dW_xo, dW_ho, db_o, dW_xc, dW_hc, db_c, dW_hq, db_q = grads
    dH_next = dC_next = Row([0.0] * len(W_hi))  # what the next step sends back: nothing after the last one
    for H_before, C_before, X, I, F, O, C_tilda, C, H, P, target in reversed(steps):
        dY = P * (1 / len(steps))  # P = softmax(Y), loss = -log(P[target]) / len(steps)
        dY[target] -= 1 / len(steps)
        dH = dH_next + backward_sum(dY, [], H, W_hq, [], dW_hq, db_q)  # Y = H @ W_hq + b_q
        dO, dC = dH * tanh(C), dC_next + dH * O * (1 - tanh(C) * tanh(C))  # H = O * tanh(C)
        dF, dC_next, dI, dC_tilda = dC * C_before, dC * F, dC * C_tilda, dC * I  # C = F * C_before + I * C_tilda
        # I = sigmoid(Z_i) has the slope I * (1 - I), F and O likewise; C_tilda = tanh(Z_c) has 1 - C_tilda * C_tilda
        dH_next = backward_sum(dI * I * (1 - I), X, H_before, W_hi, dW_xi, dW_hi, db_i)
        dH_next += backward_sum(dF * F * (1 - F), X, H_before, W_hf, dW_xf, dW_hf, db_f)
        dH_next += backward_sum(dO * O * (1 - O), X, H_before, W_ho, dW_xo, dW_ho, db_o)
        dH_next += backward_sum(dC_tilda * (1 - C_tilda * C_tilda), X, H_before, W_hc, dW_xc, dW_hc, db_c)
    return grads


def backward_sum(dZ, X, H, W_h, dW_x, dW_h, db):
    """For Z = X @ W_x + H @ W_h + b: add to the gradients of W_x, W_h and b, and return the gradient of H."""
    for left, dW in ((X, dW_x), (H, dW_h), ([1.0], db)):
        for a, row in zip(left, dW, strict=True):
            if a:
                row += dZ * a
    return dZ @ list(zip(*W_h, strict=True))  # the transpose of W_h


def sgd(params, grads, lr, theta):
    """One step down the gradient, which is scaled to the norm theta if it is longer (gradient clipping)."""
    norm = math.sqrt(sum(g * g for dW in grads for row in dW for g in row))
    for W, dW in zip(params, grads, strict=True):
        for row, grad in zip(W, dW, strict=True):
            row += grad * (-lr * min(1.0, theta / norm))


def sample(params, chars, rng, temperature=1.0):
    """Draw a name character by character; a temperature below 1 prefers the likely ones."""
    H = C = Row([0.0] * len(params[1]))
    name = "\n"
    while len(name) == 1 or (name[-1] != "\n" and len(name) < 20):
        *_, C, H, P = lstm_step(chars.index(name[-1]), H, C, params)
        name += rng.choices(chars, [(p / max(P)) ** (1 / temperature) for p in P])[0]
    return name.strip()


def main(num_hiddens=24, lr=0.5, theta=1.0, num_steps=2000):
    rng = random.Random(0)
    chars = sorted(set(NAMES + "\n") - {" "})  # a newline begins and ends every name
    names = [[chars.index(char) for char in f"\n{name}\n"] for name in NAMES.split()]
    held_out, train = names[::10], [ids for k, ids in enumerate(names) if k % 10]
    params = get_lstm_params(len(chars), num_hiddens, 0.2, rng)  # from the book's sigma, 0.01, it learns later
    for step in range(1, num_steps + 1):
        _, steps = forward(rng.choice(train), params)
        sgd(params, backward(steps, params), lr * (1 - step / num_steps), theta)
        if step % 200 == 0:
            losses = [sum(forward(ids, params)[0] for ids in part) / len(part) for part in (train, held_out)]
            print("step {:4}  loss {:.2f}, on held-out names {:.2f} ".format(step, *losses), end=" ")
            print(*(sample(params, chars, rng, 0.7) for _ in range(5)), flush=True)


if __name__ == "__main__":
    main()
