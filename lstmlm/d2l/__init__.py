"""The functions of the recurrent chapters of "Dive into Deep Learning", by their own names: `from lstmlm import d2l`.

Names, arguments and results are those of the package d2l 0.17 (sections 8.2 to 9.2, PyTorch); the code is lstmlm's.
docs/d2l.md has the names of d2l 1.0 and the differences from the book. A program of the book:

    train_iter, vocab = d2l.load_data_time_machine(batch_size=32, num_steps=35)
    vocab_size, num_hiddens, device = len(vocab), 256, d2l.try_gpu()
    lstm_layer = nn.LSTM(vocab_size, num_hiddens)
    model = d2l.RNNModel(lstm_layer, len(vocab)).to(device)
    d2l.train_ch8(model, train_iter, vocab, lr=1, num_epochs=500, device=device)
"""

from lstmlm.d2l.animator import Animator
from lstmlm.d2l.data import (
    SeqDataLoader,
    Vocab,
    load_corpus_text,
    load_corpus_time_machine,
    load_data_text,
    load_data_time_machine,
    read_time_machine,
    seq_data_iter_random,
    seq_data_iter_sequential,
    tokenize,
)
from lstmlm.d2l.held_out import evaluate_perplexity
from lstmlm.d2l.models import RNNModel, RNNModelScratch, try_gpu
from lstmlm.d2l.training import grad_clipping, predict_ch8, sgd, train_ch8, train_epoch_ch8
from lstmlm.model.gradient_reach import measure_reach
from lstmlm.scratch.gru import get_gru_params, gru, init_gru_state
from lstmlm.scratch.lstm import get_lstm_params, init_lstm_state, lstm
from lstmlm.scratch.rnn import get_rnn_params, init_rnn_state, rnn

__all__ = [
    "Animator",
    "RNNModel",
    "RNNModelScratch",
    "SeqDataLoader",
    "Vocab",
    "evaluate_perplexity",
    "get_gru_params",
    "get_lstm_params",
    "get_rnn_params",
    "grad_clipping",
    "gru",
    "init_gru_state",
    "init_lstm_state",
    "init_rnn_state",
    "load_corpus_text",
    "load_corpus_time_machine",
    "load_data_text",
    "load_data_time_machine",
    "lstm",
    "measure_reach",
    "predict_ch8",
    "read_time_machine",
    "rnn",
    "seq_data_iter_random",
    "seq_data_iter_sequential",
    "sgd",
    "tokenize",
    "train_ch8",
    "train_epoch_ch8",
    "try_gpu",
]
