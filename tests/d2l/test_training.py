"""Prediction, clipping, SGD and training behave as in the book; what is printed is the book's."""

import re

import pytest
import torch
from torch import nn

from lstmlm import d2l
from lstmlm.d2l import training
from lstmlm.system.errors import BadInput

CPU = torch.device("cpu")


@pytest.fixture
def text():
    return d2l.load_data_text(4, 10, max_tokens=200)


def make_nets(vocab, num_hiddens=8):
    yield d2l.RNNModelScratch(len(vocab), num_hiddens, CPU, d2l.get_lstm_params, d2l.init_lstm_state, d2l.lstm)
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        yield d2l.RNNModel(kind(len(vocab), num_hiddens), len(vocab))


# predict_ch8


def test_a_prediction_is_the_argmax_of_the_whole_text_so_far(text):
    _, vocab = text
    for net in make_nets(vocab):
        for param in training.get_trained(net):
            nn.init.normal_(param, std=3.0 * (param.dim() > 1))
        ids = vocab[list("time traveller")]
        for _ in range(12):
            logits, _ = net(torch.tensor([ids]), net.begin_state(batch_size=1, device=CPU))
            ids.append(int(logits[-1].argmax()))
        assert d2l.predict_ch8("time traveller", 12, net, vocab, CPU) == "".join(vocab.to_tokens(ids))
        assert len(set(ids[14:])) > 1


def test_a_prediction_reads_unknown_characters_as_unk_and_needs_a_prefix(text):
    _, vocab = text
    net = next(make_nets(vocab))
    assert d2l.predict_ch8("Ti", 0, net, vocab, CPU) == "<unk>i"
    with pytest.raises(BadInput, match=r"^prefix: is empty: give at least one character$"):
        d2l.predict_ch8("", 5, net, vocab, CPU)


def test_a_prediction_leaves_no_graph_and_drops_nothing(text):
    _, vocab = text
    layer = nn.LSTM(len(vocab), 8, num_layers=2, dropout=0.9)
    net = d2l.RNNModel(layer, len(vocab))
    for param in net.parameters():
        nn.init.normal_(param)
    assert len({d2l.predict_ch8("time", 30, net, vocab, CPU) for _ in range(5)}) == 1
    assert net.training and all(param.grad is None for param in net.parameters())


# grad_clipping, sgd


@pytest.mark.parametrize("theta", [0.5, 1.0, 100.0])
def test_clipping_scales_all_gradients_by_theta_over_their_norm_where_that_is_below_1(text, theta):
    for net in make_nets(text[1]):
        params = training.get_trained(net)
        for param in params:
            param.grad = torch.randn(param.shape)
        before = [param.grad.clone() for param in params]
        norm = torch.cat([grad.flatten() for grad in before]).norm()
        d2l.grad_clipping(net, theta)
        for param, grad in zip(params, before, strict=True):
            torch.testing.assert_close(param.grad, grad * min(1.0, theta / norm.item()))


def test_clipping_passes_over_tensors_without_a_gradient(text):
    net = d2l.RNNModel(nn.LSTM(len(text[1]), 8), len(text[1]))
    net.linear.bias.grad = torch.full((len(text[1]),), 3.0)
    d2l.grad_clipping(net, 1)
    torch.testing.assert_close(net.linear.bias.grad.norm(), torch.tensor(1.0))


def test_sgd_takes_a_step_of_the_mean_gradient_and_clears_it():
    params = [torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)]
    (params[0].sum() * 4 + params[1] * 8).backward()
    d2l.sgd(params, lr=0.5, batch_size=2)
    assert [param.tolist() for param in params] == [[0.0, 1.0], [1.0]]
    assert not any(param.grad.any() for param in params)


# train_epoch_ch8


class Recorder:
    """A net that records the state that each batch begins from."""

    def __init__(self, net):
        self.params, self.net, self.states = net.params, net, []

    def begin_state(self, batch_size, device):
        return self.net.begin_state(batch_size, device)

    def __call__(self, X, state):
        self.states.append(state)
        return self.net(X, state)


@pytest.mark.parametrize("use_random_iter", [False, True])
def test_the_state_is_carried_without_its_graph_or_begins_at_zero(text, use_random_iter):
    train_iter, vocab = text
    net = Recorder(next(make_nets(vocab)))
    d2l.train_epoch_ch8(net, train_iter, nn.CrossEntropyLoss(), lambda size: None, CPU, use_random_iter)
    assert len(net.states) == 4
    for state in net.states[1:]:
        assert all(bool(part.any()) != use_random_iter and not part.requires_grad for part in state)


def test_an_epoch_returns_perplexity_and_speed_and_takes_a_loss_of_each_character(text):
    train_iter, vocab = text
    net = next(make_nets(vocab))
    batches = list(train_iter)
    mean, each = (
        d2l.train_epoch_ch8(net, batches, nn.CrossEntropyLoss(reduction=how), lambda size: None, CPU, False)
        for how in ("mean", "none")
    )
    assert mean[0] == pytest.approx(each[0], rel=1e-6) and mean[0] == pytest.approx(len(vocab), rel=0.01)
    assert mean[1] > 0


# train_ch8


def test_training_prints_a_sample_every_10_epochs_and_the_books_closing_lines(text, capsys):
    train_iter, vocab = text
    for net in make_nets(vocab):
        d2l.train_ch8(net, train_iter, vocab, lr=1, num_epochs=30, device=CPU)
        *samples, line, first, second = capsys.readouterr().out.splitlines()
        assert len(samples) == 2 and all(len(sample) == 64 for sample in samples)
        assert re.fullmatch(r"perplexity \d+\.\d, \d+\.\d tokens/sec on cpu", line)
        assert first == d2l.predict_ch8("time traveller", 50, net, vocab, CPU)
        assert second == d2l.predict_ch8("traveller", 50, net, vocab, CPU)


def test_training_learns(text, capsys):
    train_iter, vocab = text
    for net in make_nets(vocab, 32):
        before = d2l.evaluate_perplexity(net, train_iter.corpus, CPU)
        d2l.train_ch8(net, train_iter, vocab, lr=1, num_epochs=20, device=CPU)
        assert d2l.evaluate_perplexity(net, train_iter.corpus, CPU) < 0.7 * before


def test_a_text_in_other_letters_is_continued_from_its_start(tmp_path, capsys):
    (tmp_path / "lyrics.txt").write_text("想要有直升机 想要和你飞到宇宙去 " * 20)
    train_iter, vocab = d2l.load_data_text(2, 5, tmp_path / "lyrics.txt")
    d2l.train_ch8(next(make_nets(vocab)), train_iter, vocab, lr=1, num_epochs=1, device=CPU)
    assert capsys.readouterr().out.splitlines()[1].startswith("想要有直升机 想要和你飞到宇")


def test_no_epochs_are_refused(text):
    with pytest.raises(BadInput, match=r"^num_epochs: must be 1 or more, got 0$"):
        d2l.train_ch8(next(make_nets(text[1])), *text, 1, 0, CPU)
