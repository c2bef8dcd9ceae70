"""What is written for TensorBoard is what it reads: texts under their tags, at step 0, before the file is closed."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lstmlm.training import tensorboard
from lstmlm.training.tensorboard import Curves


def test_texts_and_curves_are_there_as_soon_as_they_are_flushed(tmp_path):
    curves = Curves(tmp_path)
    curves.add_code("settings", "a: 1\nb: 2\n")
    curves.add_text("sample", "the *tide*")
    curves.add_scalars(3, {"loss/val": 1.5})
    curves.flush()
    found = EventAccumulator(str(tmp_path)).Reload()
    for tag, said in (("settings", "    a: 1\n    b: 2\n"), ("sample", r"the \*tide\*")):
        (event,) = found.Tensors(f"{tag}/text_summary")
        assert (event.step, event.tensor_proto.string_val[0].decode()) == (0, said)
    assert [(event.step, event.value) for event in found.Scalars("loss/val")] == [(3, 1.5)]
    curves.close()


def test_a_file_of_the_same_second_gets_a_later_name(tmp_path, monkeypatch):
    """TensorBoard reads the files of a run in the order of their names."""
    monkeypatch.setattr(tensorboard.time, "time", lambda: 1_700_000_000.0)
    for _ in range(3):
        Curves(tmp_path).close()
    stamps = sorted(int(path.name.split(".")[3]) for path in tmp_path.iterdir())
    assert stamps == [1_700_000_000, 1_700_000_001, 1_700_000_002]
