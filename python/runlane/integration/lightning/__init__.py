"""Lightning: `fabric.WandbLogger`. The logger of its `Trainer` is Lightning's own."""
