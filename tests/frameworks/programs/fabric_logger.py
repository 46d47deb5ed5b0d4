"""Lightning Fabric with the logger that wandb ships."""

import torch
from lightning.fabric import Fabric
from wandb.integration.lightning.fabric import WandbLogger


def main():
    torch.manual_seed(1)
    logger = WandbLogger(name="fabric", prefix="p")
    fabric = Fabric(accelerator="cpu", devices=1, loggers=logger)
    fabric.launch()
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer = fabric.setup(model, optimizer)
    logger.log_hyperparams({"lr": 0.1, "nested": {"a": [1, 2]}})
    for step in range(5):
        loss = model(torch.ones(2, 4)).pow(2).mean()
        fabric.backward(loss)
        optimizer.step()
        fabric.log("loss", loss.item(), step=step * 10)
    assert logger.version == logger.experiment.id
    logger.finalize("success")


main()
