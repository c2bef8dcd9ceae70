"""The names and arguments of the book; `import lstmlm` gives them without waiting for torch."""

import inspect
import subprocess
import sys

import pytest
import torch

from lstmlm import d2l

LAYER = "vocab_size, num_hiddens, device"
STATE = "batch_size, num_hiddens, device"
FORWARD = "inputs, state, params"

# Those of the package d2l 0.17, with its defaults
BOOK = {
    "Vocab": "tokens=None, min_freq=0, reserved_tokens=None",
    "read_time_machine": "",
    "tokenize": "lines, token='word'",
    "load_corpus_time_machine": "max_tokens=-1",
    "seq_data_iter_random": "corpus, batch_size, num_steps",
    "seq_data_iter_sequential": "corpus, batch_size, num_steps",
    "SeqDataLoader": "batch_size, num_steps, use_random_iter, max_tokens",
    "load_data_time_machine": "batch_size, num_steps, use_random_iter=False, max_tokens=10000",
    "RNNModelScratch": "vocab_size, num_hiddens, device, get_params, init_state, forward_fn",
    "RNNModel": "rnn_layer, vocab_size",
    "predict_ch8": "prefix, num_preds, net, vocab, device",
    "grad_clipping": "net, theta",
    "sgd": "params, lr, batch_size",
    "train_epoch_ch8": "net, train_iter, loss, updater, device, use_random_iter",
    "train_ch8": "net, train_iter, vocab, lr, num_epochs, device, use_random_iter=False",
    "try_gpu": "i=0",
    "get_rnn_params": LAYER,
    "get_gru_params": LAYER,
    "get_lstm_params": LAYER,
    "init_rnn_state": STATE,
    "init_gru_state": STATE,
    "init_lstm_state": STATE,
    "rnn": FORWARD,
    "gru": FORWARD,
    "lstm": FORWARD,
}
OURS = {"load_data_text", "load_corpus_text", "evaluate_perplexity", "measure_reach", "Animator"}


@pytest.mark.parametrize("name", BOOK)
def test_a_name_has_the_books_arguments_first_and_more_only_with_defaults(name):
    parameters = list(inspect.signature(getattr(d2l, name)).parameters.values())
    expected = [part.partition("=") for part in BOOK[name].split(", ") if part]
    assert [p.name for p in parameters[: len(expected)]] == [word for word, _, _ in expected]
    for parameter, (_, _, default) in zip(parameters, expected, strict=False):
        assert repr(parameter.default) == default if default else parameter.default is inspect.Parameter.empty
    assert all(parameter.default is not inspect.Parameter.empty for parameter in parameters[len(expected) :])


def test_the_page_offers_these_names_and_no_others():
    assert set(d2l.__all__) == set(BOOK) | OURS
    assert all(inspect.getdoc(getattr(d2l, name)) for name in d2l.__all__)


def test_import_lstmlm_alone_does_not_import_torch():
    code = "import sys, lstmlm; assert 'torch' not in sys.modules; lstmlm.d2l.RNNModel; assert 'torch' in sys.modules"
    code += "; from lstmlm import d2l; assert d2l is lstmlm.d2l; assert not hasattr(lstmlm, 'd3l')"
    code += "; assert 'matplotlib' not in sys.modules and 'IPython' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("count", "i", "expected"), [(0, 0, "cpu"), (1, 0, "cuda:0"), (2, 1, "cuda:1"), (1, 1, "cpu")])
def test_try_gpu_gives_the_gpu_of_that_number_or_the_cpu(monkeypatch, count, i, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert str(d2l.try_gpu(i)) == expected
