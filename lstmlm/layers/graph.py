"""Whether a backward pass keeps its graph: then what it has saved may be read again, and must not be changed."""

import torch

# Whether this backward() has retain_graph=True; True where PyTorch does not tell
graph_is_kept = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)
