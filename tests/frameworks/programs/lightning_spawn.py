"""Lightning with `ddp_spawn`: the logger, and its open run, are pickled into two workers."""

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import WandbLogger


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, index):
        loss = self.layer(batch).pow(2).mean()
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def main():
    logger = WandbLogger(name="spawned")
    # The run is open before the workers are there.
    logger.experiment.config["opened"] = "before"
    trainer = pl.Trainer(
        max_epochs=2,
        logger=logger,
        log_every_n_steps=2,
        accelerator="cpu",
        devices=2,
        strategy="ddp_spawn",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(Model(), torch.utils.data.DataLoader(torch.randn(32, 4), batch_size=4))
    logger.experiment.summary["done"] = True
    logger.experiment.finish()


if __name__ == "__main__":
    main()
