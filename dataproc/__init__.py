"""Core of the system: schema, stages, configs, shards and readers; sub-packages engines, kernels, tokens and loader."""
