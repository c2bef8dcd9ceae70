"""Training, clipping and prediction, by the book's names: d2l 0.17, section 8.5.

B = batch_size, T = num_steps, V = vocab_size.
"""

import time
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from lstmlm.d2l.animator import Animator
from lstmlm.d2l.data import SeqDataLoader, Vocab
from lstmlm.d2l.models import Device, Net, detach_state, evaluating
from lstmlm.evaluation.units import compute_perplexity
from lstmlm.system.errors import BadInput

PREFIXES = ("time traveller", "traveller")


@torch.no_grad()
def predict_ch8(prefix: str, num_preds: int, net: Net, vocab: Vocab, device: Device) -> str:
    """The prefix and `num_preds` characters after it, each the most probable after all before.

    The model reads the prefix from the zero state. A character that the vocabulary lacks becomes `<unk>`.
    """
    if not prefix:
        raise BadInput("prefix: is empty: give at least one character")
    state = net.begin_state(batch_size=1, device=device)
    outputs = [vocab[char] for char in prefix]
    with evaluating(net):
        for idx in outputs[:-1]:  # warm-up: only the state is of use
            _, state = net(torch.tensor([[idx]], device=device), state)
        for _ in range(num_preds):
            logits, state = net(torch.tensor([[outputs[-1]]], device=device), state)
            outputs.append(int(logits.argmax(dim=1)))
    return "".join(vocab.idx_to_token[idx] for idx in outputs)


def get_trained(net: Net) -> list[Tensor]:
    """The tensors that training moves."""
    if isinstance(net, nn.Module):
        return [param for param in net.parameters() if param.requires_grad]
    return net.params


def grad_clipping(net: Net, theta: float) -> None:
    """Scale the gradients by min(1, theta / norm); norm is the Euclidean norm of all of them together."""
    grads = [param.grad for param in get_trained(net) if param.grad is not None]
    norm = torch.stack([(grad**2).sum() for grad in grads]).sum().sqrt()
    if norm > theta:
        for grad in grads:
            grad *= theta / norm


@torch.no_grad()
def sgd(params: Iterable[Tensor], lr: float, batch_size: int) -> None:
    """A step of minibatch stochastic gradient descent, in place; the gradients are zero afterwards."""
    for param in params:
        assert param.grad is not None, "backward was not called"
        param -= lr * param.grad / batch_size
        param.grad.zero_()


def train_epoch_ch8(
    net: Net,
    train_iter: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    updater: torch.optim.Optimizer | Callable[[int], None],
    device: Device,
    use_random_iter: bool,
) -> tuple[float, float]:
    """Train for one epoch -> (perplexity, tokens per second).

    The perplexity is that of the training text, while the weights moved. With `use_random_iter` every batch begins from
    the zero state; otherwise from the last state of the batch before, and gradients end at the start of the batch.
    `loss` takes logits (T*B, V) and ids (T*B,); `updater` is an optimizer or, as for `sgd`, a function of batch_size.
    """
    state, losses, sizes, started = None, [], [], time.perf_counter()
    for X, Y in train_iter:
        X, Y = X.to(device), Y.to(device)
        if state is None or use_random_iter:
            state = net.begin_state(batch_size=X.shape[0], device=device)
        else:
            state = detach_state(state)
        logits, state = net(X, state)
        l = loss(logits, Y.T.flatten()).mean()  # Y time-major, as the logits
        if isinstance(updater, torch.optim.Optimizer):
            updater.zero_grad()
        l.backward()
        grad_clipping(net, 1)
        if isinstance(updater, torch.optim.Optimizer):
            updater.step()
        else:
            updater(1)  # the batch size: the loss is a mean already
        losses.append(l.detach())
        sizes.append(Y.numel())
    # Read at the end, so that no step waits for the device
    nats = sum(l * size for l, size in zip(torch.stack(losses).tolist(), sizes, strict=True))
    return compute_perplexity(nats / sum(sizes)), sum(sizes) / (time.perf_counter() - started)


def train_ch8(
    net: Net,
    train_iter: SeqDataLoader,
    vocab: Vocab,
    lr: float,
    num_epochs: int,
    device: Device,
    use_random_iter: bool = False,
) -> None:
    """Train by SGD, clipped at 1. In a notebook the curve grows in place; the closing lines are the book's.

    `use_random_iter` belongs to a `train_iter` that was made with it: each batch then begins from the zero state. Every
    10 epochs the model continues "time traveller", or where the vocabulary lacks its letters, the start of the text.
    """
    if num_epochs < 1:
        raise BadInput(f"num_epochs: must be 1 or more, got {num_epochs}")
    loss = nn.CrossEntropyLoss()
    animator = Animator(xlabel="epoch", ylabel="perplexity", legend=["train"], xlim=(10, max(20, num_epochs)))
    updater = make_updater(net, lr)
    prefixes = choose_prefixes(vocab, train_iter.corpus)
    for epoch in range(1, num_epochs + 1):
        perplexity, speed = train_epoch_ch8(net, train_iter, loss, updater, device, use_random_iter)
        if epoch % 10 == 0:
            note = predict_ch8(prefixes[0], 50, net, vocab, device) if epoch < num_epochs else ""
            animator.add(epoch, [perplexity], note)
    print(f"perplexity {perplexity:.1f}, {speed:.1f} tokens/sec on {device}")
    for prefix in prefixes:
        print(predict_ch8(prefix, 50, net, vocab, device))


def make_updater(net: Net, lr: float) -> torch.optim.Optimizer | Callable[[int], None]:
    if isinstance(net, nn.Module):
        return torch.optim.SGD(net.parameters(), lr)
    return lambda batch_size: sgd(net.params, lr, batch_size)


def choose_prefixes(vocab: Vocab, corpus: Sequence[int]) -> tuple[str, ...]:
    """The book's two prefixes, or for a text in other letters its first 14 characters."""
    if all(char in vocab.token_to_idx for char in "".join(PREFIXES)):
        return PREFIXES
    return (vocab.decode(corpus[:14]),)
