"""The training loop is the one of the definition, written out here in full: same weights, average and losses."""

import json
import math

import pytest
import torch
import torch.nn.functional as functional
from helpers.command_line import composed_config
from torch import Tensor

from lstmlm.checkpoints.checkpoint import load_checkpoint
from lstmlm.runs.assemble import build_model, make_generator
from lstmlm.text.corpus import read_corpus

EPOCHS, B, T, H, SEED = 2, 2, 5, 4, 3
LR, WARMUP, DECAY, THETA, DROPOUT, EMA = 0.05, 0.25, 0.1, 0.02, 0.3, 0.8
SETTINGS = ["backend=scratch", "data=file", f"seed={SEED}", "threads=1", f"model.num_hiddens={H}", "train.log_every=2"]
SETTINGS += [f"model.dropout={DROPOUT}", f"data.batch_size={B}", f"data.num_steps={T}", f"train.max_epochs={EPOCHS}"]
SETTINGS += [f"train.lr={LR}", "train.schedule=linear", f"train.warmup={WARMUP}", f"train.weight_decay={DECAY}"]
SETTINGS += [f"train.grad_clip={THETA}", f"train.ema={EMA}", "train.eval_every=6", "train.baselines=false"]
SETTINGS += ["data.split=[0.7,0.15,0.15]", "sample.length=2"]
TEXT = "the tide comes in, and the tide goes out; nobody had wound the clock. " * 2


def train_by_definition(W: dict[str, Tensor], ids: Tensor, vocab_size: int, optimizer: str, sampling: str):
    """The weights, their average, and of every step the loss, the norm of the gradient and the learning rate."""
    order, drop = make_generator(SEED, "data order"), make_generator(SEED, "dropout")
    batches, k, steps = (len(ids) - T) // B // T, 0, []
    total, warm = EPOCHS * batches, WARMUP * EPOCHS * batches
    W = {name: tensor.clone().requires_grad_() for name, tensor in W.items()}
    average, m, v = ({name: torch.zeros_like(tensor) for name, tensor in W.items()} for _ in range(3))
    for _ in range(EPOCHS):
        spare = len(ids) - 1 - batches * B * T
        offset = int(torch.randint(min(T, spare + 1), (), generator=order))
        if sequential := sampling == "sequential":
            lane = (len(ids) - 1 - offset) // B
            starts = torch.tensor([[offset + row * lane + n * T for row in range(B)] for n in range(batches)])
        else:
            windows = torch.randperm((len(ids) - 1 - offset) // T, generator=order)
            starts = (offset + windows * T)[: batches * B].view(batches, B)
        h = c = torch.zeros(B, H)
        for row in starts.tolist():
            h, c = (h.detach(), c.detach()) if sequential else (torch.zeros(B, H), torch.zeros(B, H))
            outputs = []
            for t in range(T):
                x = functional.one_hot(torch.stack([ids[start + t] for start in row]), vocab_size).float()
                i, f, o, new = (
                    x @ W[f"layers.0.W_x{g}"] + h @ W[f"layers.0.W_h{g}"] + W[f"layers.0.b_{g}"] for g in "ifoc"
                )
                c = f.sigmoid() * c + i.sigmoid() * new.tanh()
                h = o.sigmoid() * c.tanh()
                outputs.append(h)
            kept = torch.rand(T, B, H, generator=drop) >= DROPOUT
            Y = torch.stack([ids[start + 1 : start + T + 1] for start in row], 1)
            logits = torch.stack(outputs) * kept / (1 - DROPOUT) @ W["W_hq"] + W["b_q"]
            loss = functional.cross_entropy(logits.flatten(0, 1), Y.flatten())
            g = dict(zip(W, torch.autograd.grad(loss, list(W.values())), strict=True))
            norm = math.sqrt(sum(float(tensor.double().square().sum()) for tensor in g.values()))
            lr = LR * ((k + 1) / (warm + 1) if k < warm else 1 - (k - warm) / (total - warm))
            k += 1
            for name, w in W.items():
                clipped, decay = g[name] * min(1.0, THETA / norm), DECAY if w.dim() > 1 else 0.0
                if optimizer == "sgd":
                    w.data -= lr * (clipped + decay * w.data)
                else:
                    m[name] = 0.9 * m[name] + 0.1 * clipped
                    v[name] = 0.99 * v[name] + 0.01 * clipped**2
                    first, second = m[name] / (1 - 0.9**k), v[name] / (1 - 0.99**k)
                    w.data -= lr * decay * w.data + lr * first / (second.sqrt() + 1e-8)
                average[name] = EMA * average[name] + (1 - EMA) * w.data
            steps.append((loss.item(), norm, lr))
    return W, {name: tensor / (1 - EMA**k) for name, tensor in average.items()}, steps


@pytest.mark.parametrize("sampling", ["sequential", "random"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_is_the_loop_of_the_definition(train, tmp_path, optimizer, sampling):
    (tmp_path / "text.txt").write_text(TEXT)
    words = [*SETTINGS, "data.path=text.txt", f"train.optimizer={optimizer}", f"data.sampling={sampling}"]
    config = composed_config(*words)
    corpus = read_corpus(config.data)
    first = build_model(config, corpus.vocab, torch.device("cpu")).book_weights()
    W, average, steps = train_by_definition(first, corpus.ids["train"], len(corpus.vocab), optimizer, sampling)
    losses, norms, rates = zip(*steps, strict=True)
    assert min(norms) > THETA and len(steps) == 18  # so clipping acts in every step
    code, _, err = train(*words, "hydra.run.dir=run")
    assert code == 0, err
    found = load_checkpoint(tmp_path / "run" / "last.safetensors").tensors
    for name in W:
        torch.testing.assert_close(found[name], W[name].detach(), rtol=0, atol=1e-6)
        torch.testing.assert_close(found[f"ema.{name}"], average[name], rtol=0, atol=1e-6)
    *rows, _ = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert [row["step"] for row in rows] == [6, 12, 18]
    for row in rows:  # of the steps since the evaluation before
        since = slice(row["step"] - 6, row["step"])
        assert row["loss/train"] == pytest.approx(sum(losses[since]) / 6, abs=1e-5)
        assert row["optim/grad_norm"] == pytest.approx(sum(norms[since]) / 6, abs=1e-5)
        assert row["optim/clipped"] == 1 and row["optim/lr"] == pytest.approx(rates[row["step"] - 1])
