"""Lightning: `WandbLogger` and `Trainer`, two fits in one process; the first argument is the package."""

import importlib
import sys

import torch

package = sys.argv[1]
pl = importlib.import_module(package)
WandbLogger = importlib.import_module(f"{package}.loggers").WandbLogger


class Model(pl.LightningModule):
    def __init__(self, width=4):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)

    def training_step(self, batch, index):
        loss = self.layer(batch).pow(2).mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.log("val/loss", self.layer(batch).abs().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def main():
    pl.seed_everything(1)
    logger = WandbLogger(name="tiny", log_model=False)
    model = Model()
    data = torch.utils.data.DataLoader(torch.randn(32, 4), batch_size=4)
    logger.watch(model, log="all", log_freq=4)
    for epochs in (2, 3):
        trainer = pl.Trainer(
            max_epochs=epochs,
            logger=logger,
            log_every_n_steps=4,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        trainer.fit(model, data, data)
    logger.experiment.summary["done"] = True
    logger.experiment.finish()


main()
