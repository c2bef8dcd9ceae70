"""Faults of the user: A settings and the command line, B the text, C downloads."""

from catalogue import damage, strikes
from catalogue.row import ends, goes_on, reading, refused, row, typed

ERRORS, CORPUS, DOWNLOAD = "system/test_errors.py::test_", "text/test_corpus.py::test_", "text/test_download.py::test_"
LINE_ENDS = CORPUS + "line_ends_become_line_feeds_and_a_byte_order_mark_is_dropped_and_both_are_noted"
ROWS = damage.file("table.csv", b"text,kind\n" + b"".join(b"word%d,a\n" % k for k in range(40)))
TABLE = ("data=file", "data.path=table.csv", "data.documents=line")

USER = [
    # A. Settings and the command line
    row(
        "A1",
        "a value of another type",
        (typed("train.lr=abc"), refused(r"train\.lr: value 'abc' of type 'str' could not be converted to Float")),
    ),
    row(
        "A2",
        "a name with a slip",
        (typed("train.lrr=1"), refused(r"train\.lrr: no such setting: did you mean train\.lr\?")),
        (typed("num_hiddens=3"), refused(r"num_hiddens: no such setting: did you mean model\.num_hiddens\?")),
    ),
    row(
        "A3",
        "a name with a slip, and a plus, with which Hydra takes it",
        (typed("+train.lrr=1"), refused(r"train\.lrr: no such setting: did you mean train\.lr\?")),
    ),
    row(
        "A4",
        "a rate that is none",
        ([typed(f"train.lr={rate}") for rate in ("-1", "nan", "inf", "1e999")], refused(r"train\.lr: must be finite")),
    ),
    row(
        "A5",
        "a size that is none",
        (typed("model.num_hiddens=0"), refused(r"model\.num_hiddens: must be finite and 1 to \d+, got 0")),
        (typed("model.num_layers=0"), refused(r"model\.num_layers: must be finite and 1 to 64, got 0")),
        (typed("model.dropout=1.5"), refused(r"model\.dropout: must be finite and 0 to 0\.999, got 1\.5")),
        (typed("data.batch_size=0"), refused(r"data\.batch_size: must be finite and 1 to \d+, got 0")),
        (typed("data.num_steps=0"), refused(r"data\.num_steps: must be finite and 1 to \d+, got 0")),
        (typed("train.max_steps=-1"), refused(r"train\.max_steps: must be finite and 1 or more, got -1")),
    ),
    row(
        "A6",
        "dropout with one layer: has its effect here, on the last layer too; between layers it has none",
        (typed("model.locked_between=0.1"), refused(r"model\.locked_between: has no effect with model\.num_layers=1")),
        tests=("model/test_rnn_model.py::test_dropout_thins_the_output_of_every_layer_and_keeps_its_mean",),
    ),
    row(
        "A7",
        "a reference to nothing",
        (typed("data.path=${nope}"), refused(r"data\.path: refers to something that does not exist: .*nope")),
    ),
    row(
        "A8",
        "a model that no machine holds, or no checkpoint",
        (
            typed("model.num_hiddens=1048576"),
            refused(r"model\.num_hiddens: .* need [\d,.]+ GB, this machine has [\d,.]+ GB"),
        ),
        (
            typed("model.num_hiddens=8192"),
            refused(r"model\.num_hiddens: a checkpoint of [\d,.]+ GB is more than may be read again"),
        ),
    ),
    row(
        "A9",
        "a run directory that cannot be made",
        (
            typed("hydra.run.dir=file/run", given=(damage.file("file", b"in the way"),)),
            ends(4, r"error: \S*file/run: ", untouched=True, recovers=False),
        ),
        (typed("hydra.run.dir=/proc/run"), ends(4, r"error: /proc/run: ", untouched=True, recovers=False)),
    ),
    row(
        "A10",
        "an unknown file of settings",
        (typed("--config-name", "nope"), refused(r"settings: .*nope")),
    ),
    row(
        "A11",
        "a device that is not there",
        (
            typed("device=cuda", given=(strikes.no_gpu,)),
            refused(r"device: no cuda device on this machine: use device=cpu or device=auto"),
        ),
    ),
    row(
        "A12",
        "a model that ships, or a slip in its name, to resume from",
        (
            typed("resume=tide_clock"),
            refused(r"resume: tide_clock is a model that ships, .*: init_from=tide_clock"),
        ),
        (typed("resume=tide_clok"), refused(r"resume: no such file: tide_clok: did you mean tide_clock\?")),
    ),
    row(
        "A13",
        "float16 where it cannot be had",
        (
            typed("backend=nn", "model.num_hiddens=128", "device=cpu", "train.precision=fp16"),
            refused(r"train\.precision: fp16 is for cuda, this run is on cpu: leave it out"),
        ),
        (
            typed("backend=fused", "train.precision=fp16"),
            refused(r"train\.precision: fp16 is for cuDNN's kernels: add backend=nn, or use bf16"),
        ),
        (
            typed("backend=nn", "model.num_hiddens=200", "train.precision=fp16"),
            refused(r"model\.num_hiddens: 200 is no multiple of 128, as train\.precision=fp16 needs: give 128 or 256"),
        ),
    ),
    # B. The text
    row(
        "B1",
        "no such text, a folder, a pipe, which is not waited for",
        (typed("data=file", "data.path=nothere.txt"), refused(r"data\.path: no such file: nothere\.txt")),
        (typed("data=file", "data.path=."), refused(r"data\.path: the folder \. holds no files")),
        (
            typed("data=file", "data.path=pipe", given=(damage.pipe,)),
            refused(r"data\.path: not a regular file: pipe"),
        ),
    ),
    row(
        "B2",
        "nothing in it",
        ([reading(b""), reading(b" \n\t ")], refused(r"data\.path: my\.txt is empty: give a text file")),
        (
            reading(b"1234 5678", "data.preprocess=d2l"),
            refused(r"data\.path: my\.txt has nothing left after data\.preprocess=d2l"),
        ),
    ),
    row(
        "B3",
        "too short for the batch, and for one lane",
        (typed("data.max_tokens=64"), refused(r"data\.num_steps: the training text has 64 characters.*at least 65")),
        tests=(
            "text/test_batches.py::test_a_short_text_shrinks_the_batch_or_is_refused_with_the_length_that_is_needed",
            ERRORS + "a_short_text_shrinks_the_batch_and_says_so",
        ),
    ),
    row(
        "B4",
        "a validation part too short",
        (
            typed("data.split=[[0,90],[90,91],[91,100]]"),
            refused(r"data\.split: the val part has 1 characters of 164017: it needs at least 2"),
        ),
        tests=("text/test_split.py::test_a_split_that_cannot_be_is_refused",),
    ),
    row(
        "B5",
        "not UTF-8: Latin-1, UTF-16, cut inside a character, a surrogate",
        (reading("na\u00efve".encode("latin-1")), refused(r"data\.path: my\.txt is not UTF-8 at byte 2 \(0xEF\)")),
        (reading("text".encode("utf-16")), refused(r"data\.path: my\.txt is not UTF-8 at byte 0 \(0xFF\)")),
        (reading("caf\u00e9".encode()[:-1]), refused(r"data\.path: my\.txt is not UTF-8 at byte 3 \(0xC3\)")),
        (reading(b"ab\xed\xa0\x80"), refused(r"data\.path: my\.txt is not UTF-8 at byte 2 \(0xED\)")),
    ),
    row("B6", "a byte-order mark", tests=(LINE_ENDS,)),
    row(
        "B7",
        "line ends of other systems: read as line feeds",
        tests=(LINE_ENDS, "text/test_files.py::test_a_text_cut_anywhere_reads_as_the_whole"),
    ),
    row(
        "B8",
        "control characters",
        (reading(b"a\0\0\x1bbc" * 100), goes_on(r"warning: train has 270 control characters", recovers=False)),
    ),
    row(
        "B9",
        "other characters that end a line: no line is split at them",
        (
            reading("the\u2028tide\u2029comes\x85in\x0band\x0cout\x1c".encode() * 40, "sample.length=200"),
            goes_on(recovers=False, check=lambda scene: [row["step"] for row in scene.rows()] == [2, 4, 6, 6]),
        ),
        tests=("text/test_vocab.py::test_a_covered_text_comes_back",),
    ),
    row(
        "B10",
        "one character over and over",
        (
            reading(b"aaaa" * 100),
            refused(r"data\.path: the train part has 1 distinct character: there is nothing to learn"),
        ),
    ),
    row(
        "B11",
        "more than ten thousand different characters",
        (
            reading("".join(map(chr, range(0x4E00, 0x4E00 + 12_000))).encode()),
            goes_on(r"warning: 10,801 symbols as one-hot inputs: consider model\.embedding_dim", recovers=False),
        ),
    ),
    row(
        "B12",
        "a text larger than the memory: its ids lie in files; its clean-up does not",
        (
            typed("data.preprocess=d2l", given=(strikes.patched("lstmlm.text.corpus.IN_MEMORY", 1 << 40),)),
            refused(r"data\.preprocess: a text of [\d,.]+ GB needs [\d,.]+ GB of memory"),
        ),
        tests=(CORPUS + "a_large_text_is_the_same_from_its_file_as_from_memory",),
    ),
    row(
        "B13",
        "the text changes between two commands",
        tests=(
            "runs/test_resume.py::test_the_text_is_known_by_its_hash",
            ERRORS + "a_text_that_changed_since_the_run_is_not_scored_in_silence",
        ),
    ),
    row(
        "B14",
        "a character that the training text lacks",
        (
            typed("sample.prompt=Ω"),
            refused(r"sample\.prompt: character '\\u03a9' \(U\+03A9\) at position 0 is not in the vocabulary"),
        ),
        tests=(
            ERRORS + "held_out_characters_that_train_lacks_are_counted",
            "checkpoints/test_checkpoint.py::test_characters_the_vocabulary_lacks_are_scored_and_counted",
        ),
    ),
    row("B15", "a terminal of ASCII", tests=(ERRORS + "text_on_an_ascii_terminal_is_escaped",)),
    row(
        "B16",
        "a table without the column, or one whose values are no labels",
        (
            [typed(*TABLE, f"data.column={column}", given=(ROWS,)) for column in ("nope", "Text")],
            refused(r"data\.column: table\.csv has no column '\w+': its first line has 'text, kind'"),
        ),
        (
            typed(*TABLE, "data.column=text", "data.label=nope", given=(ROWS,)),
            refused(r"data\.label: table\.csv has no column 'nope': its first line has 'text, kind'"),
        ),
        (
            typed(*TABLE, "data.column=text", "data.label=text", given=(ROWS,)),
            refused(r"data\.label: 'text' has 40 different values: at most 31 are labels"),
        ),
        (typed("data.column=text"), refused(r"data\.column: needs documents: add data\.documents=line")),
        (typed("data.label=kind"), refused(r"data\.label: needs data\.column")),
    ),
    row(
        "B17",
        "documents that are too few",
        (
            typed(
                "data=file", "data.path=my.txt", "data.documents=blank", given=(damage.file("my.txt", b"one\ntwo\n"),)
            ),
            refused(r"data\.split: the train part has 0 documents of 1: it needs at least 2"),
        ),
    ),
    # C. Downloads
    row("C1", "no network", tests=(DOWNLOAD + "a_run_without_a_network_ends_in_one_line_and_writes_nothing",)),
    row(
        "C2",
        "a page of an error in the text's place",
        tests=(
            DOWNLOAD + "the_status_that_the_server_answers_is_named",
            DOWNLOAD + "a_page_in_the_place_of_the_text_is_not_the_text",
            DOWNLOAD + "another_text_of_the_same_size_is_refused",
        ),
    ),
    row(
        "C3",
        "a connection that is cut",
        tests=(
            DOWNLOAD + "a_cut_connection_is_resumed",
            DOWNLOAD + "a_connection_that_is_cut_again_and_again_leaves_the_part_for_the_next_run",
            DOWNLOAD + "a_server_that_stalls_is_waited_for_so_long_and_no_longer",
        ),
    ),
    row(
        "C4",
        "a server that does not go on where it was asked to",
        tests=(
            DOWNLOAD + "a_server_that_cannot_resume_starts_again",
            DOWNLOAD + "whatever_part_an_earlier_run_left_the_text_is_the_right_one",
        ),
    ),
    row("C5", "a kill in the middle", tests=(DOWNLOAD + "a_kill_leaves_a_part_and_the_next_run_resumes_it",)),
    row(
        "C6",
        "more than was announced",
        tests=(DOWNLOAD + "of_a_body_that_is_too_long_one_byte_too_many_is_read_and_none_is_kept",),
    ),
    row("C7", "a file name from elsewhere", tests=(DOWNLOAD + "a_text_is_fetched_once_under_our_own_name",)),
    row(
        "C8",
        "a redirection to another protocol",
        tests=(
            DOWNLOAD + "a_redirect_away_from_https_is_refused",
            DOWNLOAD + "http_is_refused",
        ),
    ),
    row("C9", "a damaged file in the cache", tests=(DOWNLOAD + "a_damaged_text_is_named_and_fetched_again",)),
    row(
        "C10",
        "an archive with paths of its own",
        tests=("test_faults.py::test_nothing_is_unpickled_or_unpacked_outside_of_torch_file",),
    ),
]
