"""Stages: one file each, pure functions over Arrow batches, no I/O and no engine; `stages.registry` names them for recipes."""
