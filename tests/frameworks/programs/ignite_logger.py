"""PyTorch-Ignite: `WandBLogger`, whose attributes are those of the module `wandb`."""

import torch
from ignite.engine import Engine, Events
from ignite.handlers.wandb_logger import WandBLogger


def main():
    torch.manual_seed(1)
    model = torch.nn.Linear(4, 1)

    def step(engine, batch):
        loss = model(batch).pow(2).mean()
        loss.backward()
        return {"loss": loss.item()}

    trainer = Engine(step)
    logger = WandBLogger(name="ignite", config={"lr": 0.1})
    logger.watch(model, log_freq=2)
    logger.attach_output_handler(
        trainer,
        event_name=Events.ITERATION_COMPLETED(every=2),
        tag="training",
        output_transform=lambda out: {"loss": out["loss"]},
    )
    trainer.run([torch.ones(2, 4)] * 8, max_epochs=2)
    assert logger.run.dir
    logger.close()


main()
