"""Faults of the machine and of time: G the disk, H signals and processes, I numbers, J ranks, K curves, L sweeps."""

import errno
import math
import resource

from helpers.killing import outcome

from catalogue import damage, disk, strikes
from catalogue.row import Expectation, ends, goes_on, refused, resuming, row, running, typed
from catalogue.scene import SMALL, SWEEP

ERRORS, RESUME, TRAINING = (
    "system/test_errors.py::test_",
    "runs/test_resume.py::test_",
    "training/test_trainer.py::test_",
)
LAYERS = "layers/test_contract.py::test_"
SWEEPS = "runs/test_sweep.py::test_"
SWEPT = (SWEEPS + "a_job_that_fails_is_named_and_stops_no_other_and_the_worst_code_is_kept",)
KILLED = (RESUME + "a_kill_at_every_point_of_a_save_changes_nothing", RESUME + "fifty_random_kills_change_nothing")
TERMINAL = ("test_faults.py::test_a_run_outlives_a_stop_and_its_terminal",)
NO_SPACE = "No space left on device"
ONE_PROCESS = "a run is one process"


def cannot_save(why: str) -> Expectation:
    space = "free space there, or " if why in (NO_SPACE, "Disk quota exceeded") else ""
    return ends(4, rf"error: cannot write run/\S+: {why}: {space}write to another folder")


def without_curves(why: str) -> Expectation:
    warning = f"warning: cannot write TensorBoard curves: {why}: continuing without them"
    return goes_on(warning, curves=False, check=lambda scene: scene.out.count("warning") == 1)


def without_log(why: str) -> Expectation:
    warning = f"warning: cannot write train.log: {why}: continuing without it"
    return goes_on(warning, check=lambda scene: scene.out.count("warning") == 1)


MACHINE = [
    # G. The disk
    row(
        "G1",
        "full, at each write, after nothing, half, or all but a byte",
        ([running(disk.full(nth, (0, 0.5, 1 - 1e-9)[nth % 3])) for nth in range(8)], cannot_save(NO_SPACE)),
        (running(strikes.patched("lstmlm.training.metrics.open", disk.torn_row)), cannot_save(NO_SPACE)),
        (running(strikes.limited(resource.RLIMIT_FSIZE, 20_000)), cannot_save("File too large")),
    ),
    row(
        "G2",
        "full, really, for the run or for stdout",
        (running(disk.at_write(2, disk.dev_full)), cannot_save(NO_SPACE)),
        tests=("test_faults.py::test_a_full_or_closed_stdout_ends_no_run_and_is_told_in_one_line",),
    ),
    row(
        "G3",
        "full, and it says so when the file is synced or closed",
        ([running(strikes.at_call("os.fsync", nth)) for nth in (2, 4, 5, 6)], cannot_save(NO_SPACE)),
        (running(disk.at_write(3, disk.late_refusal)), cannot_save("Disk quota exceeded")),
    ),
    row(
        "G4",
        "broken, over the quota, read-only",
        (running(disk.full(2, 0.5, errno.EIO)), cannot_save("Input/output error")),
        (running(disk.full(3, 0.5, errno.EDQUOT)), cannot_save("Disk quota exceeded")),
        (running(disk.full(4, 0.5, errno.EROFS)), cannot_save("Read-only file system")),
    ),
    row("G5", "takes a file piece by piece", (running(disk.at_write(None, disk.piecemeal)), goes_on())),
    row(
        "G6",
        "the run directory is taken away",
        (running(strikes.at_step(3, strikes.vanished)), cannot_save("No such file or directory")),
    ),
    row(
        "G7",
        "full, when last becomes previous and the new one last",
        ([running(strikes.at_call("os.replace", nth)) for nth in (2, 3, 4)], cannot_save(NO_SPACE)),
    ),
    row(
        "G8",
        "no room for TensorBoard",
        (
            running(strikes.patched("lstmlm.training.tensorboard.open", strikes.read_only)),
            without_curves("Read-only file system"),
        ),
        (running(strikes.patched("lstmlm.training.tensorboard.open", disk.small_curves)), without_curves(NO_SPACE)),
    ),
    row(
        "G9",
        "no room for the log",
        (running(damage.folder("run/train.log")), without_log("Is a directory")),
        (running(strikes.patched("lstmlm.runs.run_directory.LogFile._open", disk.small_log)), without_log(NO_SPACE)),
    ),
    row(
        "G10",
        "a power cut",
        tests=(
            "system/test_power.py::test_a_power_cut_leaves_a_good_checkpoint_at_least_as_new_as_the_last_acknowledged",
        ),
    ),
    # H. Signals and processes
    row("H1", "kill -9", tests=KILLED),
    row("H2", "SIGTERM", tests=(TRAINING + "a_signal_finishes_the_step_saves_and_says_where",)),
    row("H3", "Ctrl-C", tests=(TRAINING + "a_signal_finishes_the_step_saves_and_says_where",)),
    row("H4", "Ctrl-C again", tests=(RESUME + "a_second_ctrl_c_stops_at_once_and_leaves_the_last_good_file",)),
    row(
        "H5",
        "a signal in the middle of a save",
        (running(strikes.at_call("os.fsync", 4, strikes.terminate)), ends(143, "stopped at step 2: saved run/last")),
        (running(strikes.at_call("os.replace", 3, strikes.interrupt)), ends(130, "stopped at step 2: saved run/last")),
        (running(strikes.at_call("os.fsync", 2, strikes.terminate)), ends(143, "stopped at step 1: saved run/last")),
    ),
    row("H6", "the terminal is closed", tests=TERMINAL),
    row(
        "H7",
        "two runs in one directory",
        tests=(ERRORS + "a_directory_in_use_is_refused", RESUME + "a_run_in_use_is_not_resumed"),
    ),
    row("H8", "a child that lives on", tests=("test_faults.py::test_a_child_does_not_hold_the_lock",)),
    row(
        "H9",
        "no memory",
        (
            running(strikes.at_step(3, strikes.no_memory)),
            ends(4, r"error: out of memory: lower data\.batch_size or model\.num_hiddens"),
        ),
        (
            typed(*SMALL, "model.num_hiddens=3000", given=(strikes.little_memory,)),
            ends(4, r"error: out of memory: lower data\.batch_size or model\.num_hiddens", recovers=False),
        ),
    ),
    row("H10", "stopped, and continued", tests=TERMINAL),
    row(
        "H11",
        "a bug",
        (running(strikes.at_step(3, lambda trainer: 1 / 0)), ends(1, "error: a bug in lstmlm: ZeroDivisionError: ")),
        tests=(ERRORS + "a_bug_is_one_line_and_the_traceback_is_in_the_log",),
    ),
    row("H12", "warnings are errors, hashes are others", tests=TERMINAL),
    row(
        "H13",
        "a signal, or a kill, during an evaluation",
        tests=(RESUME + "a_signal_or_a_kill_during_an_evaluation_loses_no_step_and_changes_nothing",),
    ),
    # I. Numbers
    row(
        "I1",
        "a gradient of NaN",
        tests=(TRAINING + "divergence_ends_with_the_step_and_leaves_the_last_good_checkpoint",),
    ),
    row(
        "I2",
        "clipping a gradient that is not finite: the step is found by its norm",
        (
            running(strikes.patched("lstmlm.training.step.compute_norm", strikes.infinite_norm)),
            ends(3, r"error: training diverged at step 1: the loss or the norm of its gradient is not finite"),
        ),
    ),
    row(
        "I3",
        "a rate far too high",
        (
            [
                typed(*SMALL, "hydra.run.dir=run", "train.warmup=0", "train.grad_clip=null", f"train.lr={rate}")
                for rate in ("1e20", "1e30", "1e38")
            ],
            ends(3, r"error: training diverged at step \d: ", recovers=False),
        ),
    ),
    row(
        "I4", "a perplexity past all numbers", tests=("evaluation/test_scoring.py::test_perplexity_is_one_exp_of_sums",)
    ),
    row(
        "I5",
        "a validation loss that is not finite: never the best",
        (
            running(strikes.scored(9, math.nan, 9.5, 9, 9)),
            goes_on(recovers=False, check=lambda scene: scene.rows()[-1]["best_step"] == 2),
        ),
        (
            running(strikes.scored(math.nan, math.inf, math.nan)),
            ends(3, "error: training diverged: no evaluation gave a finite validation loss", recovers=False),
        ),
    ),
    row(
        "I6",
        "an id outside the vocabulary",
        tests=("text/test_vocab.py::test_unknown_characters_become_unk_and_are_named",),
    ),
    row("I7", "denormal numbers", because="nothing sets how they are treated"),
    row(
        "I8",
        "a layer gets ids of another type, ids out of range, no steps, an empty batch, or numbers that are not finite",
        tests=(
            LAYERS + "an_id_out_of_range_is_refused",
            LAYERS + "ids_of_another_type_are_refused",
            LAYERS + "int32_ids_give_what_int64_ids_give",
            LAYERS + "no_steps_are_refused",
            LAYERS + "a_batch_of_none_gives_none_and_no_gradient",
            LAYERS + "nan_and_infinity_go_where_they_go_on_every_backend",
        ),
    ),
    row(
        "I9",
        "a step that is not the book's: clipped by norm + 1e-6, or the first of a warm-up at the rate 0",
        tests=(
            "training/test_step.py::test_20_clipped_steps_have_the_losses_of_the_books_clipping",
            "training/test_optim.py::test_warm_up_rises_and_cosine_falls_to_zero",
            "training/test_former_rules.py::test_a_step_is_clipped_by_its_rules",
        ),
    ),
    # J. Several processes
    row("J1", "a rank is killed", because=ONE_PROCESS),
    row("J2", "a rank is killed, and all are started again", because=ONE_PROCESS),
    row("J3", "an exception on one rank", because=ONE_PROCESS),
    row("J4", "SIGTERM to one rank", because=ONE_PROCESS),
    row("J5", "ranks with unequal numbers of batches", because=ONE_PROCESS),
    row("J6", "a batch that the ranks cannot share evenly", because=ONE_PROCESS),
    row("J7", "another number of ranks", because=ONE_PROCESS),
    row("J8", "a rank that reads half a file", because=ONE_PROCESS),
    row("J9", "a port in use", because=ONE_PROCESS),
    row("J10", "ranks with other texts or settings", because=ONE_PROCESS),
    row("J11", "a directory for each rank", because=ONE_PROCESS),
    row("J12", "a rank that does not come", because=ONE_PROCESS),
    row("J13", "objects from rank to rank", because=ONE_PROCESS),
    # K. TensorBoard, the bar, the terminal
    row("K1", "points drawn before the run was killed", (resuming(damage.cut(0.5)), goes_on()), tests=KILLED),
    row("K2", "a point at the step of the checkpoint", (resuming(), goes_on())),
    row(
        "K3",
        "an event file of the same second, or of the future",
        (resuming(damage.set_back, damage.cut(0.5)), goes_on()),
        tests=KILLED,
    ),
    row("K4", "points that were not flushed", tests=KILLED),
    row(
        "K5",
        "a torn record",
        (
            resuming(damage.spoiled(lambda data: data[:-7], "events*")),
            goes_on(curves=False, check=lambda scene: scene.points("loss/train").keys() >= {1, 2, 4, 5, 6}),
        ),
    ),
    row(
        "K6",
        "points that are not finite",
        (
            running(strikes.scored(9, math.nan, 9.5, 9, 9)),
            goes_on(
                recovers=False,
                check=lambda scene: scene.rows()[1]["loss/val"] == "nan" and math.isnan(scene.points("loss/val")[4]),
            ),
        ),
    ),
    row("K7", "no terminal, or one of no width", tests=TERMINAL),
    # L. Sweeps
    row("L1", "a job fails", tests=SWEPT),
    row(
        "L2",
        "a job that ends the sweep",
        tests=SWEPT,
    ),
    row(
        "L3",
        "Ctrl-C",
        (
            typed(*SWEEP, "seed=1,0,2", given=(strikes.stop_second_job,)),
            Expectation(
                130,
                r"job 2 \(seed=0\): stopped at step 3: saved sweep/1_nn_s0/last\.safetensors: resume the run with \S+\n"
                r"sweep: 1 finished; stopped in job 2 \(seed=0\): resume with .* and resume=auto .*\n.*\n",
                check=lambda scene: scene.finished_jobs() == ["0_nn_s1"],
            ),
        ),
    ),
    row(
        "L4",
        "a sweep that was stopped is started again",
        (
            typed(*SWEEP, "seed=1,0,2", "resume=auto", given=(damage.sweep_stopped,)),
            goes_on(
                r"has finished at step 6(.|\n)*resuming from step 3",
                recovers=False,
                check=lambda scene: (
                    scene.finished_jobs() == ["0_nn_s1", "1_nn_s0", "2_nn_s2"]
                    and outcome(scene.folder / "sweep" / "1_nn_s0") == outcome(scene.kept / "whole")
                ),
            ),
        ),
    ),
    row(
        "L5",
        "a value longer than a file name may be",
        (
            typed(*SWEEP, "sample.prompt=" + "the " * 100),
            goes_on(recovers=False, check=lambda scene: scene.finished_jobs() == ["0_nn_s0"]),
        ),
    ),
    row(
        "L6",
        "a value that climbs out of the directory",
        (typed(*SWEEP, "backend=x/../../nn"), refused(r"backend=x/\.\./\.\./nn: no such option")),
        (typed(*SWEEP, "seed=x/../../0"), refused(r"seed: value 'x/\.\./\.\./0' of type 'str'")),
    ),
    row(
        "L7",
        "what one job leaves behind in the process",
        (
            typed(*SWEEP, "seed=1,0"),
            goes_on(
                recovers=False,
                check=lambda scene: outcome(scene.folder / "sweep" / "1_nn_s0") == outcome(scene.kept / "whole"),
            ),
        ),
        tests=(SWEEPS + "no_job_leaves_anything_behind_in_the_process",),
    ),
    row(
        "L8",
        "all jobs fail",
        (
            typed(*SWEEP, "train.lr=-1,-2"),
            Expectation(
                2,
                r"(error: job \d \(train\.lr=-\d\): train\.lr: must be finite.*\n){2}sweep: 0 finished; 2 failed: .*\n",
            ),
        ),
    ),
]
