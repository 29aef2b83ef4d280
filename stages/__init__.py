"""Stages: one file each, pure functions over Arrow batches, no I/O, no engine; `stages.registry` names them."""
