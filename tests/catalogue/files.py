"""Faults of files: D our own checkpoints, E a stranger's, F what is asked of them."""

import functools

import torch

from catalogue import damage, disk, strikes
from catalogue.row import Expectation, asked, ends, goes_on, refused, resuming, row, running, typed
from lstmlm.checkpoints.checkpoint import Checkpoint

CHECKPOINT, GATE, RESUME = (
    "checkpoints/test_checkpoint.py::test_",
    "checkpoints/test_validation.py::test_",
    "runs/test_resume.py::test_",
)
ERRORS, SAMPLING = "system/test_errors.py::test_", "generation/test_sampling.py::test_"
KERNELS = "kernels/test_build.py::test_"
OPENED = (GATE + "hostile_files_are_refused_and_do_nothing",)

falls_back = goes_on(r"warning: checkpoint: run/last\.safetensors .*: trying the one before\nresuming from step 2,")

SEARCHES_ALL = {"name": "file", "path": "/**/*"}


def change_encoding(loaded: Checkpoint, name: str) -> None:
    loaded.record["config"]["data"]["encoding"] = name


FILES = [
    # D. Our own checkpoints
    row(
        "D1",
        "the newest is cut",
        ([resuming(damage.cut(share)) for share in (0, 0.0001, 0.5, 0.9999)], falls_back),
    ),
    row(
        "D2",
        "a bit of it is flipped",
        ([resuming(damage.spoiled(functools.partial(damage.flip, share=share))) for share in (0.1, 0.9)], falls_back),
        tests=("test_faults.py::test_each_of_two_hundred_flipped_bits_is_caught",),
    ),
    row("D3", "4 KiB of it are zeros", (resuming(damage.spoiled(damage.hole)), falls_back)),
    row("D4", "all are damaged", tests=(RESUME + "without_one_good_checkpoint_nothing_is_restarted",)),
    row("D5", "none is there", tests=(RESUME + "auto_starts_where_there_is_nothing_and_goes_on_where_there_is",)),
    row("D6", "the run is not there", tests=(RESUME + "what_cannot_be_resumed_is_one_line",)),
    row("D7", "a later format", tests=(CHECKPOINT + "a_later_format_is_named",)),
    row("D8", "an older format", tests=(CHECKPOINT + "a_file_of_format_1_still_scores_writes_and_goes_on",)),
    row("D9", "another model", tests=(RESUME + "a_setting_that_makes_another_run_is_refused_by_name",)),
    row(
        "D10",
        "another rate, other limits",
        tests=(
            RESUME + "a_setting_that_makes_another_run_is_refused_by_name",
            RESUME + "a_finished_run_says_so_and_can_be_prolonged",
        ),
    ),
    row(
        "D11",
        "other threads, another torch or CPU: one line says that the bits may differ",
        (
            resuming(damage.rewritten(lambda loaded: loaded.record["versions"].update(torch="2.0.0", cpu="ABACUS"))),
            goes_on(r"not bit for bit: torch is .*, was 2\.0\.0\n.*not bit for bit: cpu is .*, was ABACUS"),
        ),
        (
            typed("resume=run", "threads=2", given=(damage.copied("stopped"), strikes.threads_restored)),
            goes_on(r"not bit for bit: threads is 2, was 1\n", recovers=False),
        ),
    ),
    row(
        "D12",
        "another vocabulary of the same size",
        (
            resuming(damage.rewritten(lambda loaded: loaded.record["vocab"].append(loaded.record["vocab"].pop(5)))),
            refused(r"resume: the vocabulary in the checkpoint is not that of its text"),
        ),
        tests=(RESUME + "the_text_is_known_by_its_hash",),
    ),
    row("D13", "the run is complete", tests=(RESUME + "a_finished_run_says_so_and_can_be_prolonged",)),
    row(
        "D14",
        "half a file is left over",
        (resuming(damage.file("run/.last.safetensors.1.tmp", b"half")), goes_on(r"resuming from step 3,")),
    ),
    row("D15", "file times that mean nothing", (resuming(damage.shuffled_times), goes_on(r"resuming from step 3,"))),
    row(
        "D16",
        "numbers that are not finite, on their way to the disk or on it",
        (
            running(strikes.at_step(3, strikes.huge_weight)),
            ends(3, r"error: training diverged at step 4: layers\.0\.W_xi is not finite, or too large"),
        ),
        (
            running(strikes.at_step(3, strikes.infinite_moments)),
            ends(3, r"error: training diverged at step 4: optimizer\.exp_avg_sq\.\S+ is not finite"),
        ),
        tests=OPENED,
        files=("NaN weights", "infinite weights"),
    ),
    row("D17", "a run directory that is a link, to another disk", (running(disk.linked), goes_on())),
    # E. A stranger's checkpoint
    row("E1", "a pickle", tests=OPENED, files=("pickle", "pickle, protocol 2")),
    row("E2", "a zip of torch", tests=OPENED, files=("torch zip", "zip")),
    row(
        "E3",
        "a header too long",
        tests=OPENED,
        files=("header of 2^63", "header of 101 MB", "header past the end"),
    ),
    row(
        "E4",
        "tensors that overlap, leave holes, lie, or hold the state of another batch",
        (
            resuming(damage.rewritten(lambda loaded: loaded.tensors.update({"run.carried.0": torch.zeros(1, 3, 8)}))),
            ends(2, "error: resume: the state of the loop does not fit its settings", recovers=False),
        ),
        tests=OPENED,
        files=("overlap", "negative offsets", "lying shape", "transposed", "one byte more", "one byte short"),
    ),
    row("E5", "a tensor twice", tests=OPENED, files=("duplicate tensor",)),
    row("E6", "a hundred thousand axes; 2^40 x 0", tests=OPENED, files=("rank 100 000", "huge shape")),
    row("E7", "a name of escapes", tests=OPENED, files=("name with escapes",)),
    row("E8", "a model too large", tests=OPENED, files=("hidden 2^40", "100 000 layers", "layers as text")),
    row(
        "E9",
        "settings to be resolved or imported",
        tests=OPENED,
        files=("extra argument", "unknown setting", "setting to resolve", "setting out of bounds", "unknown cell"),
    ),
    row(
        "E10",
        "JSON that is deep, long, or none",
        tests=OPENED,
        files=("deep JSON", "long integer", "NaN in JSON", "record of NaN", "record is no JSON"),
    ),
    row(
        "E11",
        "a vocabulary that is none",
        tests=OPENED,
        files=("vocabulary too short", "vocabulary of words", "vocabulary with twins", "vocabulary of numbers"),
    ),
    row(
        "E12",
        "characters that drive a terminal",
        tests=(
            ERRORS + "a_terminal_gets_escapes_and_a_pipe_gets_the_text",
            SAMPLING + "control_characters_are_escaped_and_the_others_are_not",
        ),
    ),
    row("E13", "NaN, infinite, huge weights", tests=OPENED, files=("NaN weights", "infinite weights", "huge weights")),
    row(
        "E19",
        "numbers and texts without bounds",
        (
            resuming(damage.rewritten(lambda loaded: loaded.record["config"]["data"].update(SEARCHES_ALL))),
            ends(2, r"error: data\.path: /\*\*/\* searches the whole file system: begin", recovers=False),
        ),
        *(
            (
                resuming(damage.rewritten(functools.partial(change_encoding, name=name))),
                ends(2, rf"error: data\.encoding: no encoding is called '{name}'", recovers=False),
            )
            for name in ("punycode", "undefined", "idna", "rot13")
        ),
        tests=OPENED,
        files=(
            *(
                "rate of 10^400",
                "steps of 10^400",
                "split 700 deep",
                "fraction of 10^400",
                "batch of -1",
                "batch of 10^30",
            ),
            *("seconds of 10^400", "step of 10^4000", "step of -3", "reading of 10^400", "a path of 80 000 characters"),
            *("a start from nowhere", "a start at step -1"),
        ),
    ),
    row(
        "E20",
        "a compiled kernel that another user has put into a shared cache",
        tests=(
            KERNELS + "a_library_that_others_may_write_to_is_built_again",
            KERNELS + "a_library_of_another_user_is_not_loaded",
            KERNELS + "a_folder_of_another_user_is_not_used",
        ),
    ),
    row("E14", "other types", tests=OPENED, files=("type F16", "type unknown")),
    row("E15", "no digest, or a wrong one", tests=OPENED, files=("no digest", "flipped bit")),
    row(
        "E16",
        "1 TB, a pipe, a device, a folder",
        tests=OPENED,
        files=("sparse file of 1 TB", "pipe", "device", "folder"),
    ),
    row(
        "E17",
        "a file that changes while it is read",
        (
            asked("generate", "run", "--prompt", "", "--length", "5", given=(strikes.swapped_while_read,)),
            Expectation(0, "", r"(?s)\A.{5}\Z"),
        ),
    ),
    row(
        "E18",
        "any other file",
        tests=(*OPENED, CHECKPOINT + "a_damaged_file_or_one_of_another_program_is_one_line_with_its_name"),
        files=("empty", "text", "a list", "not UTF-8"),
    ),
    # F. What is asked of a model
    row(
        "F1",
        "an empty prompt",
        tests=(SAMPLING + "an_empty_prompt_reads_as_a_line_end_or_else_the_most_frequent_character",),
    ),
    row(
        "F2",
        "a prompt with a character that the vocabulary lacks",
        (
            asked("generate", "run", "--prompt", "The ñandú"),
            refused(
                r"--prompt: characters '\\xf1' \(U\+00F1\) at position 4 \(nearest: 'n'\), .* not in the vocabulary: "
            ),
        ),
    ),
    row("F3", "temperature 0", tests=(SAMPLING + "temperature_zero_is_argmax_and_small_ones_approach_it",)),
    row(
        "F4",
        "a temperature that is none, or tiny",
        (
            [asked("generate", "run", "--temperature", value) for value in ("-1", "nan", "inf")],
            refused(r"--temperature: must be 0 "),
        ),
        (
            asked("generate", "run", "--prompt", "", "--length", "5", "--temperature", "1e-45"),
            Expectation(0, "", r"(?s)\A.{5}\Z"),
        ),
    ),
    row(
        "F5",
        "top-k past the vocabulary",
        (
            asked("generate", "run", "--prompt", "", "--length", "5", "--top-k", "1000"),
            Expectation(0, r"note: --top-k 1000 keeps all characters: there are no more than 63\n", r"(?s)\A.{5}\Z"),
        ),
        tests=(SAMPLING + "top_k_of_all_and_top_p_of_1_and_min_p_of_0_keep_every_character",),
    ),
    row(
        "F6",
        "a length of nothing, less, or without end",
        (asked("generate", "run", "--length", "0", "--prompt", "The"), Expectation(0, "", r"\AThe\Z")),
        (asked("generate", "run", "--length", "-1"), refused(r"--length: must be 0 or more, got -1")),
        (
            asked(
                "generate",
                "run",
                "--prompt",
                "",
                "--length",
                "1000000000",
                given=(strikes.interrupted_draw,),
            ),
            Expectation(130, "stopped\n", r"(?s)\A.{50}\Z"),
        ),
    ),
    row("F7", "a reader that leaves early", tests=(ERRORS + "exit_0_and_a_reader_that_leaves_early_is_no_error",)),
    row(
        "F8",
        "characters that stdout cannot take",
        (
            asked("generate", "run", "--prompt", "", "--temperature", "9", given=(damage.surrogate,)),
            Expectation(0, "", r"\\ud800"),
        ),
        tests=(ERRORS + "text_on_an_ascii_terminal_is_escaped",),
    ),
]
